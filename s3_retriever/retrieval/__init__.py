"""From a question to spans of text."""
