"""Questions with gold evidence, from files."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.text import sentences

__all__ = ["Example", "load_multihop"]

Range = tuple[int, int]


@dataclass(frozen=True)
class Example:
    """A question, a context, and where in it the evidence is."""

    id: str
    question: str
    answers: tuple[str, ...]
    context: str
    evidence: tuple[Range, ...]
    """Characters of each gold supporting sentence in the context."""
    passages: tuple[Range, ...]
    """Characters of each paragraph."""
    gold_passages: tuple[int, ...]
    """Numbers of the paragraphs that hold evidence."""


def load_multihop(path: Path, *, limit: int | None = None, seed: int = 0) -> list[Example]:
    """Read multi-hop records: HotpotQA, 2WikiMultiHopQA or MuSiQue in one JSON form a line.

    A record has ``id``, ``question``, ``answers`` and ``paragraphs`` (``title``, ``text``,
    ``is_supporting`` and, where sentences are labelled, ``sentences`` and ``supporting_sents``;
    where they are not, as in MuSiQue, every sentence of a supporting paragraph is gold). The
    context is all paragraphs, each under its title, with an empty line between: the distractor
    setting. Records without gold evidence in the text are left out.

    Args:
        path: a ``.jsonl`` file.
        limit: take this many, drawn with ``seed``; ``None`` takes all.
        seed: of the draw.

    Raises:
        InputError: the file cannot be read or has another form; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"data file {path} cannot be read: {e}") from e
    examples = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                example = _example(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError) as e:
                raise InputError(f"{path}, line {number}: no multi-hop record ({e!r})") from e
            if example.evidence:
                examples.append(example)
    if limit is not None and limit < len(examples):
        examples = random.Random(seed).sample(examples, limit)  # noqa: S311  (no secret)
    if not examples:
        raise InputError(f"{path} holds no question with gold evidence")
    return examples


def _example(record: dict[str, Any]) -> Example:
    context = ""
    evidence: list[Range] = []
    passages: list[Range] = []
    gold: list[int] = []
    for number, paragraph in enumerate(record["paragraphs"]):
        start = len(context)
        context += f"{paragraph['title']}\n{paragraph['text']}"
        passages.append((start, len(context)))
        if paragraph["is_supporting"]:
            gold.append(number)
            evidence += _gold_sentences(paragraph, context, start + len(paragraph["title"]) + 1)
        context += "\n\n"
    return Example(
        id=str(record["id"]),
        question=record["question"],
        answers=tuple(record["answers"]),
        context=context.rstrip("\n"),
        evidence=tuple(evidence),
        passages=tuple(passages),
        gold_passages=tuple(gold),
    )


def _gold_sentences(paragraph: dict[str, Any], context: str, at: int) -> list[Range]:
    """Characters of the supporting sentences of a paragraph whose text starts at ``at``."""
    if "sentences" not in paragraph:
        return [(max(start, at), end) for start, end in sentences(context, at, len(context))]
    found = []
    for number, sentence in enumerate(paragraph["sentences"]):
        text = sentence.strip()
        position = context.find(text, at)
        if text and position >= 0:
            at = position + len(text)
            if number in paragraph["supporting_sents"]:
                found.append((position, at))
    return found
