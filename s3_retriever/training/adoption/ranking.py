"""Every query head of every layer on the questions to learn from; kept on disk as it is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s3_retriever.labels.collections import Collection
from s3_retriever.training.calibration.heads import HeadReader
from s3_retriever.training.calibration.precision import passage_scores, token_bounds

__all__ = ["HeadQuestion", "Statistic", "rank_heads"]


@dataclass(frozen=True)
class Statistic:
    """What makes a passage's score of its tokens'."""

    best_tokens: int
    """Their mean counts."""
    less_null: bool
    """Whether the null question's attention is subtracted."""


@dataclass(frozen=True)
class HeadQuestion:
    """What every head attends to in a question's context, and what is gold there."""

    asked: np.ndarray
    """``(n_layers, n_heads, n_tokens)`` float16, in units of the average token's."""
    null: np.ndarray
    """The same for the null question."""
    bounds: np.ndarray
    """``(n_passages, 2)`` int64: first and one past the last token."""
    gold: np.ndarray
    """``(n_passages,)`` bool."""

    def tokens(self, *, less_null: bool) -> np.ndarray:
        """``(n_layers, n_heads, n_tokens)`` float32."""
        asked = self.asked.astype(np.float32)
        return asked - self.null if less_null else asked

    def passages(self, statistic: Statistic) -> np.ndarray:
        """``(n_layers, n_heads, n_passages)`` float32."""
        scores = self.tokens(less_null=statistic.less_null)
        return passage_scores(scores, self.bounds.tolist(), statistic.best_tokens)


def rank_heads(
    reader: HeadReader,
    collections: Sequence[Collection],
    folder: Path,
    *,
    on_question: Callable[[int], None] = lambda done: None,
) -> list[HeadQuestion]:
    """Read every context with all layers and score its tokens by every head.

    What a run that was stopped has read is taken from ``folder``.

    Args:
        reader: of the model.
        collections: of one document and one question each, in an order that does not change.
        folder: where each question's arrays are kept: 2 bytes a head and token, twice.
        on_question: called with the number of questions done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, collection in enumerate(collections):
        file = folder / f"{number:04}.npz"
        if not file.exists():
            _save(file, _read(reader, collection))
        with np.load(file, allow_pickle=False) as arrays:
            found.append(HeadQuestion(**{name: arrays[name] for name in arrays}))
        on_question(number + 1)
    return found


def _read(reader: HeadReader, collection: Collection) -> dict[str, np.ndarray]:
    (document,), (question,) = collection.documents, collection.questions
    context = reader.read(document.text)
    asked, null = reader.attention(context, question.text)
    gold = [passage in question.gold_passages for passage in collection.passages]
    return {
        "asked": asked.astype(np.float16),
        "null": null.astype(np.float16),
        "bounds": np.array(token_bounds(context.tokens, collection.passages), dtype=np.int64),
        "gold": np.array(gold),
    }


def _save(file: Path, arrays: dict[str, np.ndarray]) -> None:
    part = file.with_suffix(".part")
    with part.open("wb") as out:
        np.savez(out, allow_pickle=False, **arrays)
    part.replace(file)
