"""Candidate search: which blocks of tokens a question should look at."""
