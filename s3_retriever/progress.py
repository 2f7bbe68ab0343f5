"""A progress bar for reading documents, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

__all__ = ["reading_bar"]


@contextmanager
def reading_bar(texts: Sequence[str], *, show: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar of tqdm over the characters of ``texts``; its callback is ``on_progress`` of ``add``.

    Args:
        texts: what is about to be read.
        show: ``False`` draws nothing.

    Example:
        >>> with reading_bar(["Hello."], show=False) as on_progress:
        ...     on_progress(2, 6)
    """
    from tqdm.auto import tqdm

    total = sum(map(len, texts))
    with tqdm(total=total, unit="char", unit_scale=True, desc="reading", disable=not show) as bar:
        yield lambda tokens, characters: (bar.update(characters), None)[1]
