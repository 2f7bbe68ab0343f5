"""Labels are read and scored without a model, and without what loads one."""

from __future__ import annotations

import subprocess
import sys

LABELS = ["bootstrap", "budget", "collections", "datasets", "metrics"]
HEAVY = ("torch", "transformers", "s3_retriever.engine", "s3_retriever.retrieval")


def test_no_model_is_imported() -> None:
    imported = ", ".join(f"s3_retriever.labels.{name}" for name in LABELS)
    program = f"import sys, {imported}; print([n for n in {HEAVY!r} if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
