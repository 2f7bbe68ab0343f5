"""Answering from retrieved spans, with citations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from s3_retriever.types import Answer, Span

__all__ = ["AnswerStream", "answer_messages", "find_citations"]


def answer_messages(question: str, spans: Sequence[Span]) -> list[dict[str, str]]:
    """The conversation that asks ``question`` over numbered ``spans``.

    The instruction is short and comes last: a small model that is asked for citations, too, tends
    to write nothing else. Larger ones quote the numbers of their own accord.
    """
    passages = "\n\n".join(f"[{n}] {span.text}" for n, span in enumerate(spans, start=1))
    ask = f"Using the text above, answer in one sentence: {question}"
    return [{"role": "user", "content": f"{passages or '(no text was found)'}\n\n{ask}"}]


class AnswerStream:
    """An answer that is being written.

    Example:
        >>> stream = AnswerStream(iter(["It is ", "red [1]."]), ())
        >>> "".join(stream)
        'It is red [1].'
        >>> stream.result().text
        'It is red [1].'
    """

    def __init__(self, pieces: Iterator[str], spans: tuple[Span, ...]) -> None:
        """Wrap a generator of text."""
        self._pieces = pieces
        self._text = ""
        self.spans = spans

    def __iter__(self) -> Iterator[str]:
        """Pieces of text, as the model writes them; only once."""
        for piece in self._pieces:
            self._text += piece
            yield piece

    def result(self) -> Answer:
        """Wait for the end (or take what was already read) and find the citations."""
        for _ in self:
            pass
        text = self._text.strip()
        return Answer(text, self.spans, find_citations(text, self.spans))


def find_citations(answer: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    """The spans that an answer rests on.

    Those whose number it quotes; a small model often quotes none, then those that share most of
    the answer's longer words and numbers.

    Example:
        >>> spans = [Span("a", 0, 9, "Red roses", 1, {}, 0), Span("b", 0, 9, "Blue sky.", 1, {}, 1)]
        >>> [s.doc_id for s in find_citations("The sky is blue.", spans)]
        ['b']
    """
    quoted = {int(n) for n in re.findall(r"\[(\d+)\]", answer)}
    named = tuple(span for n, span in enumerate(spans, start=1) if n in quoted)
    if named:
        return named
    words = _content_words(answer)
    shared = [len(words & _content_words(span.text)) for span in spans]
    most = max(shared, default=0)
    if not most:
        return ()
    return tuple(span for span, n in zip(spans, shared, strict=True) if n == most)


def _content_words(text: str) -> set[str]:
    return {w for w in re.findall(r"\w+", text.lower()) if len(w) > 3 or w.isdigit()}
