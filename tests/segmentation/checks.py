"""What holds for the bounds of any text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from s3_retriever.types import TextBounds


def check_bounds(text: str, bounds: TextBounds) -> None:
    """Sentences and paragraphs are in order, trimmed and miss nothing but white space."""
    for ranges in (bounds.sentences, bounds.paragraphs):
        assert ranges.dtype == np.uint32
        assert ranges.shape[1] == 2
        found = ranges.tolist()
        assert all(a < b for a, b in found)
        assert all(b <= c for (_, b), (c, _) in pairwise(found))
        assert all(text[a:b] == text[a:b].strip() for a, b in found)
        left_out = list(text)
        for a, b in found:
            left_out[a:b] = [" "] * (b - a)
        assert not "".join(left_out).strip()
    for a, b in bounds.sentences.tolist():
        first, last = bounds.paragraphs[bounds.paragraph_of(a)]
        assert first <= a < b <= last
