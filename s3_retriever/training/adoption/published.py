"""Heads that others found to retrieve: where the search begins for large models."""

from __future__ import annotations

from s3_retriever.training.calibration.profiles import Position

__all__ = ["PUBLISHED_HEADS", "published_heads"]

PUBLISHED_HEADS: dict[str, tuple[Position, ...]] = {
    "llama-3.1-8b": (
        *((14, 22), (13, 16), (14, 28), (14, 31), (16, 19), (14, 1), (16, 26), (17, 24)),
        *((13, 18), (13, 1), (14, 13), (13, 21), (13, 13), (8, 11), (14, 20)),
    ),
    "qwen2.5-7b": ((16, 19), (16, 2), (16, 20), (16, 14), (16, 0), (15, 24)),
    "mistral-7b": ((15, 21), (15, 1), (16, 12), (15, 7), (9, 26)),
}
"""By a part of the model's name: QRHead (arXiv 2506.09944) and CoRe (arXiv 2510.02219). They were
found in context; which of them find anything in keys that were read without the question is
measured, as for every other head."""


def published_heads(model: str, n_layers: int, n_heads: int) -> tuple[Position, ...]:
    """Heads to choose among; empty if none are published for a model of this name and size.

    Example:
        >>> published_heads("mistralai/Mistral-7B-Instruct-v0.2", 32, 32)[0]
        (15, 21)
        >>> published_heads("HuggingFaceTB/SmolLM2-135M-Instruct", 30, 9)
        ()
    """
    for name, heads in PUBLISHED_HEADS.items():
        if name in model.lower() and all(lay < n_layers and h < n_heads for lay, h in heads):
            return heads
    return ()
