"""An answer of the model: what is asked for, up to a stop sequence, and what it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Generator as Generating

from s3_retriever.arguments import COUNT, SHARE, TEMPERATURE, checked, listed
from s3_retriever.errors import InputError
from s3_retriever.models.base import Chat, TextStream

__all__ = ["Reply", "until_stop"]


class Reply:
    """An answer while it is written: an iterable of its pieces, once; then what it took.

    Example:
        >>> from s3_retriever.models.streaming import PieceStream
        >>> written = PieceStream(iter([("It is red", 3), (". END", 5), (" more", 6)]))
        >>> reply = Reply(written, ["END"], n_prompt=10, max_tokens=6)
        >>> "".join(reply), reply.finish_reason, reply.n_written
        ('It is red. ', 'stop', 5)
    """

    def __init__(
        self, written: TextStream, stops: Sequence[str], n_prompt: int, max_tokens: int
    ) -> None:
        """Cut ``written`` at the first of ``stops``.

        Args:
            written: what the model generates.
            stops: strings, none of them empty.
            n_prompt: tokens of the prompt, template included.
            max_tokens: the most that was asked for.
        """
        self.n_prompt = n_prompt
        self._written = written
        self._stops = stops
        self._max_tokens = max_tokens
        self._stopped = False

    @classmethod
    @checked(max_tokens=COUNT, temperature=TEMPERATURE, top_p=SHARE)
    def to(
        cls,
        llm: Chat,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stops: str | Sequence[str] = (),
    ) -> Reply:
        """What ``llm`` says to a conversation; it starts with the first piece taken.

        Args:
            llm: the resident model.
            messages: ``role`` and ``content`` of each; at least one.
            max_tokens: most tokens to write.
            temperature: 0 always takes the likeliest token.
            top_p: draw among the likeliest tokens that have this probability together.
            stops: strings before which the answer ends, or one.

        Raises:
            InputError: there is nothing to answer, an argument is out of range, or the chat
                template refuses the roles.
        """
        if not messages:
            raise InputError("there are no messages to answer")
        stops = listed(stops, "stop sequences")
        if not all(isinstance(stop, str) for stop in stops):
            raise InputError("a stop sequence must be a string")
        if "" in stops:
            raise InputError("a stop sequence must not be empty")
        prompt = llm.chat_ids(messages)
        nucleus = {} if top_p == 1 else {"top_p": top_p}  # which not every model has
        written = llm.stream(prompt, max_new_tokens=max_tokens, temperature=temperature, **nucleus)
        return cls(written, stops, len(prompt), max_tokens)

    def __iter__(self) -> Iterator[str]:
        self._stopped = yield from until_stop(self._written, self._stops)

    async def __aiter__(self) -> AsyncIterator[str]:
        """The same pieces, each taken in a thread: the event loop goes on."""
        pieces = iter(self)
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece

    @property
    def n_written(self) -> int:
        """Tokens generated: a stop sequence counts, the end of a turn does not."""
        return self._written.n_tokens

    @property
    def finish_reason(self) -> str:
        """``stop``: the model ended its turn or wrote a stop sequence; ``length``: cut short.

        An answer that repeated itself is cut short, too.
        """
        repeated: bool = getattr(self._written, "cut_short", False)
        full = repeated or self.n_written >= self._max_tokens
        return "length" if full and not self._stopped else "stop"


def until_stop(pieces: Iterable[str], stops: Sequence[str]) -> Generating[str, None, bool]:
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
