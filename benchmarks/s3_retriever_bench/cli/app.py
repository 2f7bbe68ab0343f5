"""The commands that measure the retriever."""

from __future__ import annotations

from s3_retriever.cli.app import make_app
from s3_retriever_bench.cli.analyses import ANALYSES
from s3_retriever_bench.cli.longbench import longbench
from s3_retriever_bench.cli.record import record
from s3_retriever_bench.cli.retrieval import retrieval, stages
from s3_retriever_bench.cli.speed import index, reading, scan

__all__ = ["app", "main"]

app = make_app(
    (retrieval, stages, longbench, *ANALYSES, scan, reading, index, record),
    "How good the retriever is, how fast, and the published tables and figures.",
)


def main() -> None:
    """Run the command line."""
    app()
