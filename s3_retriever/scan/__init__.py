"""Reading documents: text to chunks to sparse codes."""
