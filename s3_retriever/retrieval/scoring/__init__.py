"""Scores of single tokens from their sparse codes: two named ways.

``attention``: what the chosen heads would attend to. The key that a token's code stands for is a
sum of decoder rows, so its product with a query is the sum of the rows' products, which are taken
once for a question; a softmax over the positions for each query token makes it a share of
attention. This is what works on small models.

``coactivation``: Eq. 7 of S3-Attention (arXiv 2601.17702) as published. The question's queries
are coded by the *keys'* autoencoder, and a token scores by the features it shares with them. On
SmolLM2-135M it is at chance.
"""
