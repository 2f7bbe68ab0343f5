"""Stop sequences in text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

__all__ = ["until_stop"]


def until_stop(pieces: Iterable[str], stops: Sequence[str]) -> Generator[str, None, bool]:
    """Pass ``pieces`` on up to the first stop sequence, which is left out.

    The end of a piece that could be the start of a stop sequence is held back until the next
    piece decides, so what comes out does not depend on where the pieces are cut. Where stop
    sequences overlap, the one that is complete first counts.

    Args:
        pieces: text in order; no further piece is taken after a stop.
        stops: strings, none of them empty.

    Returns:
        (as a generator does) whether a stop sequence came.

    Example:
        >>> list(until_stop(["It is r", "ed. EN", "D Blue."], ["END"]))
        ['It is r', 'ed. ']
    """
    held = ""
    for piece in pieces:
        held += piece
        found = [(at + len(stop), at) for stop in stops if (at := held.find(stop)) >= 0]
        if found:
            _, cut = min(found)
            if cut:
                yield held[:cut]
            return True
        safe = len(held) - _undecided(held, stops)
        if safe:
            yield held[:safe]
            held = held[safe:]
    if held:
        yield held
    return False


def _undecided(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of ``text`` with which one of ``stops`` begins."""
    longest = min(len(text), max(map(len, stops), default=1) - 1)
    for n in range(longest, 0, -1):
        if any(stop.startswith(text[-n:]) for stop in stops):
            return n
    return 0
