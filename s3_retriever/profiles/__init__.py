"""Profiles: what makes one language model a retriever."""
