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
    if not show:
        yield lambda tokens, characters: None
        return
    from tqdm.auto import tqdm  # here, because it warns in a notebook without widgets

    total = sum(map(len, texts))
    with tqdm(total=total, unit="char", unit_scale=True, desc="reading") as bar:

        def advance(tokens: int, characters: int) -> None:
            bar.update(characters)

        yield advance
