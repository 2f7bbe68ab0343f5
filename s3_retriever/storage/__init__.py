"""What is kept of the documents: forward store, Tantivy, manifest."""
