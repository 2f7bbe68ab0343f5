"""The legs: each a way of proposing spans for a question."""
