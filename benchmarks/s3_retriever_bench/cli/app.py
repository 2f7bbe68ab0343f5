"""The commands that measure the retriever."""

from __future__ import annotations

from s3_retriever.cli.app import make_app
from s3_retriever_bench.cli.analyses import ANALYSES
from s3_retriever_bench.cli.bench import index, scan
from s3_retriever_bench.cli.evaluate import retrieval, stages
from s3_retriever_bench.cli.longbench import longbench

__all__ = ["app", "main"]

app = make_app(
    (retrieval, stages, longbench, *ANALYSES, scan, index),
    "How good the retriever is, how fast, and the published tables and figures.",
)


def main() -> None:
    """Run the command line."""
    app()
