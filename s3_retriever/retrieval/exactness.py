"""An exact keyword wins: a span that holds what the question consists of is not outvoted.

Where a question is a code, a name or a rare word, the one span that holds it is what is looked for.
Only the words' leg knows that, and it is one among several: a table of like things, which the
features and the reading in context prefer, could come first. How much of a question a span holds is
measured by the words' rarity in the index, so a question of many parts, of which no span holds
nearly all, is ranked as if this were not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.words import Words

__all__ = ["Exactness", "lifted"]

_NEARLY_ALL = 0.75
"""Of a question's information; of what a span holds beyond it, its lift is a share."""
_LIFT = 0.5
"""Of the way to the highest score, for a span that holds everything (docs/quality.md)."""


class Exactness:
    """How much of one question's information a text holds.

    The information of a word is its squared inverse document frequency in the index, as in the
    cosine of two texts' tf-idf vectors: the rarer, the more it says. Words that the index does
    not have count for nothing, since no text can hold them.
    """

    def __init__(self, words: Words, asked: Iterable[str]) -> None:
        """Look up how rare a question's words are.

        Args:
            words: of the index.
            asked: the question's words, as they are indexed.
        """
        asked = dict.fromkeys(asked)
        words.look_up(asked)
        self._information = {
            word: words.idf(word) ** 2 for word in asked if words.document_frequency(word)
        }
        self._all = sum(self._information.values())

    def of(self, counts: Mapping[str, int]) -> float:
        """From 0, for a text that lacks a quarter of the information or more, to 1, for all of it.

        Args:
            counts: the text's words.
        """
        held = sum(value for word, value in self._information.items() if word in counts)
        if not self._all:
            return 0.0
        return max(0.0, (held / self._all - _NEARLY_ALL) / (1 - _NEARLY_ALL))


def lifted(
    fused: Sequence[FusedSpan], exactness: Callable[[FusedSpan], float], highest: float
) -> list[FusedSpan]:
    """Spans in the order of their scores, of which exact ones are nearer to the highest.

    Args:
        fused: best first.
        exactness: of a span, 0 to 1.
        highest: the score of a span that every leg finds best.

    Example:
        >>> from s3_retriever.types import SpanRef
        >>> scores = {"a": 3, "b": 2}
        >>> spans = [FusedSpan(SpanRef(name, 0, 4), score, {}) for name, score in scores.items()]
        >>> exact = {"a": 0.0, "b": 1.0}
        >>> [(s.ref.doc_id, s.score) for s in lifted(spans, lambda s: exact[s.ref.doc_id], 6)]
        [('b', 4.0), ('a', 3.0)]
    """
    found = [
        replace(item, score=item.score + _LIFT * exactness(item) * (highest - item.score))
        for item in fused
    ]
    return sorted(found, key=lambda item: -item.score)
