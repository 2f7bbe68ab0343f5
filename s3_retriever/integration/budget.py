"""What of a result a prompt may show, where a framework shows more than the spans' texts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from s3_retriever.integration.source import Call, Work
from s3_retriever.retrieval.budget import priced

__all__ = ["within_budget"]


def within_budget(shown: Sequence[str], max_tokens: int | None) -> Work[int]:
    """How many of some pieces a budget pays for, as they are shown; the worst are left out.

    Args:
        shown: pieces as a prompt shows them, best first, between which it leaves a line empty.
        max_tokens: budget in the model's own tokens; ``None`` is no limit.
    """
    if max_tokens is None:
        return len(shown)
    texts = [priced(text, first=n == 0) for n, text in enumerate(shown)]
    counts: list[int] = yield Call("count_tokens", (texts,))
    return sum(total <= max_tokens for total in accumulate(counts))
