"""LongBench as published: nine tasks, every system under one protocol.

Source: the experiments of S3-Attention (arXiv 2601.17702) on LongBench (arXiv 2308.14508).
"""

from __future__ import annotations
