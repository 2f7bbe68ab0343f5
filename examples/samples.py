"""What the examples share: the documents of the package, and an embedding model to compare with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

__all__ = ["embed", "texts"]

FOLDER = Path(str(resources.files("s3_retriever"))) / "data" / "samples"


def texts() -> dict[str, str]:
    """Eight Wikipedia articles by name."""
    return {p.stem: p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.txt"))}


def embed(passages: list[str]) -> list[list[float]]:
    """Vectors of length 1 by all-MiniLM-L6-v2 (BGE small where a hub gives it)."""
    from s3_retriever_bench.methods.encoder import load_encoder  # the endogenous side needs none

    vectors: list[list[float]] = load_encoder("cpu").passages(passages).tolist()
    return vectors
