"""The commands of ``s3-retriever-bench``."""
