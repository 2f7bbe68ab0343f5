"""The end of an answer that goes round in circles, as those of small models sometimes do."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

__all__ = ["UntilRepeating"]

logger = logging.getLogger(__name__)

_LONGEST = 64
"""Tokens of what is repeated."""
_TIMES = 4
_LEAST = 128
"""Tokens of all that is repeated: a row of dashes or of zeros is shorter."""


class UntilRepeating:
    """Tokens up to where the same ones came again and again, one after the other.

    What is generated before is not changed: penalties, which would prevent a repetition, also
    change answers that have none.

    Example:
        >>> tokens = UntilRepeating([5, 6] + 500 * [1, 2, 3])
        >>> len(list(tokens)), tokens.repeated
        (130, True)
        >>> tokens = UntilRepeating(range(1000))
        >>> len(list(tokens)), tokens.repeated
        (1000, False)
    """

    def __init__(self, tokens: Iterable[int]) -> None:
        """Take tokens as they are generated."""
        self._tokens = tokens
        self.repeated = False
        """Whether that is why they ended."""

    def __iter__(self) -> Iterator[int]:
        """Tokens; none is taken after the end."""
        last: list[int] = []  # the newest first
        same = [0] * _LONGEST  # by distance: how many tokens in a row equal those so far before
        for token in self._tokens:
            yield token
            for distance, before in enumerate(last):
                same[distance] = same[distance] + 1 if before == token else 0
            last = [token, *last[: _LONGEST - 1]]
            if any(
                n + distance >= max(_LEAST, _TIMES * distance)
                for distance, n in enumerate(same, 1)
                if n
            ):
                self.repeated = True
                logger.warning("an answer that repeats itself is ended")
                return
