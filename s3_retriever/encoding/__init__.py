"""Top-K sparse autoencoders over key projections."""
