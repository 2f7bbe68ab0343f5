"""Adoption: from a model to a profile that retrieves, in one go."""
