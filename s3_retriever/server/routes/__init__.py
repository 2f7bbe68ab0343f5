"""Endpoints, a module each group."""
