"""Answering from retrieved spans, with citations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from s3_retriever.arguments import COUNT, TEXT, checked
from s3_retriever.generation.citations import find_citations
from s3_retriever.models.base import Chat
from s3_retriever.types import Answer, Span

__all__ = ["NOTHING_FOUND", "AnswerStream", "Answerer", "answer_messages", "fit_prompt"]

NOTHING_FOUND = "Nothing was found in these documents."
"""The answer where there is no span: a model that is asked all the same makes one up."""


def answer_messages(question: str, spans: Sequence[Span]) -> list[dict[str, str]]:
    """The conversation that asks ``question`` over numbered ``spans``.

    The instruction is short and comes last: a small model that is asked for citations, too, tends
    to write nothing else. Larger ones quote the numbers of their own accord.
    """
    passages = "\n\n".join(f"[{n}] {span.text}" for n, span in enumerate(spans, start=1))
    ask = _instruction(question)
    return [{"role": "user", "content": f"{passages}\n\n{ask}"}]


def _instruction(question: str) -> str:
    return f"Using the text above, answer in one sentence: {question}"


def fit_prompt(
    llm: Chat, question: str, spans: Sequence[Span], max_tokens: int
) -> tuple[list[int], tuple[Span, ...]]:
    """The prompt that asks ``question`` over as many of ``spans`` as the budget pays for.

    What evidence costs is what it adds to the prompt in the chat template that the model reads:
    its text, its number and the empty lines around it.

    Args:
        llm: whose template and tokenizer count.
        question: plain text.
        spans: best first; the worst are left out until the rest fits, but never the best.
        max_tokens: budget of all evidence.

    Returns:
        Token ids and the spans in them.
    """
    bare = len(llm.chat_ids([{"role": "user", "content": _instruction(question)}]))
    for n in range(len(spans), 1, -1):
        prompt = llm.chat_ids(answer_messages(question, spans[:n]))
        if len(prompt) - bare <= max_tokens:
            return prompt, tuple(spans[:n])
    return llm.chat_ids(answer_messages(question, spans[:1])), tuple(spans[:1])


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
        """Wrap an answer.

        Args:
            pieces: its text, as it is written.
            spans: what the model has in front of it, in the order of their numbers.
        """
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


class Answerer:
    """Answers questions from what is found for them."""

    def __init__(self, llm: Chat, retrieve: Callable[..., Sequence[Span]]) -> None:
        """Nothing is asked yet.

        Args:
            llm: writes.
            retrieve: finds the evidence: ``Engine.retrieve``.
        """
        self._llm = llm
        self._retrieve = retrieve

    @checked(question=TEXT, max_tokens=COUNT, max_new_tokens=COUNT)
    def answer(
        self,
        /,
        question: str,
        *,
        max_tokens: int = 512,
        max_new_tokens: int = 128,
        **retrieve: Any,
    ) -> AnswerStream:
        """Retrieve spans and let the same model answer from them.

        Without a span (an empty index, a filter that leaves nothing, :attr:`Engine.abstention`) the
        answer is :data:`NOTHING_FOUND`, and the model is not asked.

        Args:
            question: plain text.
            max_tokens: budget of the evidence, counted in the chat template that is used: with
                the numbers and empty lines around the spans. The best span is always there.
            max_new_tokens: longest answer.
            **retrieve: further arguments of ``Engine.retrieve``.

        Returns:
            The answer as it is written: iterate over it for pieces of text; ``.spans`` is there
            at once, ``.result()`` waits for the end and brings the citations.
        """
        found = self._retrieve(question, max_tokens=max_tokens, **retrieve)
        if not found:
            return AnswerStream(iter([NOTHING_FOUND]), ())
        prompt, spans = fit_prompt(self._llm, question, found, max_tokens)
        return AnswerStream(self._llm.stream(prompt, max_new_tokens=max_new_tokens), spans)
