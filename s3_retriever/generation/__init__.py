"""Writing with the resident model: answers and compressed contexts."""
