"""The retriever does without its measurements."""

from __future__ import annotations

from pathlib import Path

import s3_retriever


def test_nothing_in_the_package_knows_the_benchmarks() -> None:
    modules = sorted(Path(s3_retriever.__file__).parent.rglob("*.py"))
    assert len(modules) > 100
    assert [m.name for m in modules if "import s3_retriever_bench" in m.read_text()] == []
    assert [m.name for m in modules if "from s3_retriever_bench" in m.read_text()] == []
