"""LongBench's prompts in the model's chat template, cut in the middle where they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from s3_retriever.errors import InputError
from s3_retriever.models.base import Chat, Tokenizing
from s3_retriever_bench.longbench.tasks import Task

__all__ = ["Shot", "middle_cut", "prompt_ids"]


class Shot(NamedTuple):
    """An example that is shown before the question."""

    context: str
    question: str
    answer: str


def prompt_ids(
    llm: Chat,
    task: Task,
    context: str,
    question: str,
    *,
    limit: int,
    shots: Sequence[Shot] = (),
) -> list[int]:
    """Token ids of the official prompt about ``context``, as one user turn.

    Without shots the prompt is zero-shot. Each shot is a turn of its own, the same prompt about
    the shot's context, and the model's turn that gives its answer. Only the last prompt is cut
    (:func:`middle_cut`), before it is put into the template, as LongBench does it.

    Args:
        llm: its template and tokenizer.
        task: whose prompt is filled.
        context: the text, whole or shortened.
        question: the record's ``input``.
        limit: most tokens of everything, template and shots included.
        shots: shown first.

    Raises:
        InputError: template and shots leave no room for the prompt.
    """
    turns = []
    for shot in shots:
        turns.append({"role": "user", "content": task.fill(shot.context, shot.question)})
        turns.append({"role": "assistant", "content": shot.answer})

    def ids_of(prompt: str) -> list[int]:
        return llm.chat_ids([*turns, {"role": "user", "content": prompt}])

    prompt = task.fill(context, question)
    room = limit - len(ids_of(""))
    ids = ids_of(middle_cut(llm, prompt, room))
    while len(ids) > limit:  # where the halves meet, or the template begins, tokens may differ
        room -= len(ids) - limit
        ids = ids_of(middle_cut(llm, prompt, room))
    return ids


def middle_cut(llm: Tokenizing, text: str, limit: int) -> str:
    """The first and the last half of ``limit`` tokens of ``text``; all of it if it is no longer.

    What LongBench's ``pred.py`` does, with the texts of the halves taken by character offsets,
    not by decoding: a character whose tokens the cut parts is left out rather than broken.

    Args:
        llm: its tokenizer.
        text: any.
        limit: in tokens.

    Raises:
        InputError: ``limit`` is too small for two halves.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> middle_cut(llm, "one two three four five six seven", 4)
        'one two six seven'
    """
    if limit < 2:
        raise InputError("the window is too small for the prompt: fewer shots or new tokens")
    tokens = llm.tokenize(text)
    if len(tokens) <= limit:
        return text
    half = limit // 2
    end = int(tokens.starts[half])  # of the first token left out
    start = int(tokens.ends[len(tokens) - half - 1])
    return text[:end] + text[max(start, end) :]
