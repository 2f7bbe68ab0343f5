"""Labelled questions and the metrics on them."""
