"""Text of a token stream, piece by piece, while the tokens come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["PieceStream", "text_pieces"]

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What the bytes of an unfinished character decode to."""

_MOST_PENDING = 64
"""Tokens after which bytes that form no character are taken for what they are; a character has
four bytes at most."""


def text_pieces(
    tokens: Iterable[int], decode: Callable[[Sequence[int]], str]
) -> Iterator[tuple[str, int]]:
    """Pieces of text, each with the number of tokens so far; "" while a character is incomplete.

    Each token is decoded with those of the piece before it (a tokenizer with SentencePiece's
    spaces drops one at the beginning of what it decodes) and those not shown yet, not with all
    that came: the cost grows with the number of tokens, not with its square. The pieces are those
    of decoding everything each time, except where tokens spell bytes that are not UTF-8: there
    the number of replacement characters may differ.

    Args:
        tokens: ids as the model generates them.
        decode: text of ids, special ones left out.

    Example:
        >>> list(text_pieces([72, 195, 169], lambda ids: bytes(ids).decode(errors="replace")))
        [('H', 1), ('', 2), ('é', 3)]
    """
    before: list[int] = []  # the tokens of the last piece
    start = ""  # what they decode to when nothing precedes them
    pending: list[int] = []
    text = ""
    n_tokens = 0
    for token in tokens:
        n_tokens += 1
        pending.append(token)
        text = decode(before + pending)
        given_up = len(pending) >= _MOST_PENDING
        if len(text) > len(start) and (given_up or not text.endswith(_HALF)):
            yield text[len(start) :], n_tokens
            before, pending = pending, []
            text = start = decode(before)
        else:
            yield "", n_tokens  # wait for the rest of a character
            if given_up:  # special tokens, which say nothing
                pending = []
    rest = text.rstrip(_HALF)[len(start) :]  # cut off inside a character
    if rest:
        yield rest, n_tokens


class PieceStream:
    """Text that is being generated: an iterator over its pieces, which counts tokens.

    Example:
        >>> stream = PieceStream(iter([("Blue", 1), ("", 2), ("!", 3)]))
        >>> list(stream), stream.n_tokens
        (['Blue', '!'], 3)
    """

    def __init__(
        self, written: Iterator[tuple[str, int]], cut_short: Callable[[], bool] = lambda: False
    ) -> None:
        """Take pieces.

        Args:
            written: each with the number of tokens generated up to its end.
            cut_short: whether they ended before the model ended its turn.
        """
        self._written = written
        self._cut_short = cut_short
        self.n_tokens = 0
        """Tokens generated so far; the one that ends the model's turn is not counted."""

    @property
    def cut_short(self) -> bool:
        """Whether it was ended because it repeated itself."""
        return self._cut_short()

    def __iter__(self) -> PieceStream:
        return self

    def __next__(self) -> str:
        for piece, n_tokens in self._written:
            self.n_tokens = n_tokens
            if piece:
                return piece
        raise StopIteration
