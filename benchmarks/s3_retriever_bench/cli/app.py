"""The commands that measure the retriever."""

from __future__ import annotations

from s3_retriever.cli.app import make_app
from s3_retriever_bench.cli.abstention import abstention
from s3_retriever_bench.cli.analyses import ANALYSES
from s3_retriever_bench.cli.encode import encode
from s3_retriever_bench.cli.longbench import longbench
from s3_retriever_bench.cli.record import record
from s3_retriever_bench.cli.retrieval import retrieval, stages
from s3_retriever_bench.cli.scale import scale
from s3_retriever_bench.cli.serving import serve
from s3_retriever_bench.cli.speed import index, reading, scan
from s3_retriever_bench.cli.workers import workers

__all__ = ["app", "main"]

app = make_app(
    (
        retrieval,
        stages,
        abstention,
        longbench,
        *ANALYSES,
        scan,
        encode,
        workers,
        reading,
        index,
        serve,
        scale,
        record,
    ),
    "How good the retriever is, how fast, and the published tables and figures.",
)


def main() -> None:
    """Run the command line."""
    app()
