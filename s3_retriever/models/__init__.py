"""The resident language model: loading it, tapping its projections, answering with it."""
