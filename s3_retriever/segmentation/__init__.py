"""Where a text may be cut: words, lines, sentences, records; what `s3_retriever.text` is made of.

A paragraph is read in three steps: what kind of text it is (`layout`, `records`), where its units
begin (`units`), and which neighbours form one unit or one passage (`breaks`).
"""
