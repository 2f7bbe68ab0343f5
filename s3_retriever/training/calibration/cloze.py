"""Questions without labels: a sentence taken out of its paragraph asks for that paragraph.

Source: the inverse cloze task, "Latent Retrieval for Weakly Supervised Open Domain Question
Answering" (arXiv 1906.00300).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.segmentation.lines import paragraphs_of as text_paragraphs
from s3_retriever.segmentation.lines import plain_lines
from s3_retriever.text import find_bounds
from s3_retriever.types import Document

__all__ = ["context_collection", "inverse_cloze", "paragraphs_of"]

PARAGRAPHS = 10
"""Of one context; HotpotQA's distractor setting has as many."""
MIN_SENTENCES = 3
"""Of a paragraph, so that what is left of it still says something."""
MIN_WORDS = 5
"""Of a sentence that is to be a question: shorter ones are headings and exclamations."""
MAX_CHARACTERS = 800
"""Of a paragraph; longer ones, and text without any, are cut between sentences."""
WRAPPED = 120
"""Characters of the usual line, at most, where an author or a converter breaks lines."""


def inverse_cloze(texts: Iterable[str], *, limit: int | None, seed: int) -> list[Collection]:
    """Make contexts of ten paragraphs, one of which lacks a sentence: that is the question.

    A context is a run of consecutive paragraphs, so that what is not gold is on related matters.
    Every paragraph is gold at most once. The removed sentence stands nowhere else in the context.

    Args:
        texts: plain texts; those that come together should stand together.
        limit: draw this many questions; ``None`` makes as many as there are paragraphs.
        seed: of the draw of paragraphs, places and sentences.

    Returns:
        One collection a question, of one document.

    Raises:
        InputError: there are fewer than ten paragraphs of at least three sentences.
    """
    paragraphs = [paragraph for text in listed(texts, "texts") for paragraph in paragraphs_of(text)]
    n = len(paragraphs)
    if n < PARAGRAPHS:
        raise InputError(
            f"paragraphs of at least {MIN_SENTENCES} sentences in the text: {n}; {PARAGRAPHS} are "
            "needed to make a question, and hundreds to choose heads well: give more text"
        )
    rng = random.Random(seed)  # noqa: S311  (no secret)
    found: list[Collection] = []
    for gold in rng.sample(range(n), n):
        first = rng.randint(max(0, gold - PARAGRAPHS + 1), min(gold, n - PARAGRAPHS))
        context = paragraphs[first : first + PARAGRAPHS]
        made = _without_a_sentence(context, gold - first, rng)
        if made is not None:
            found.append(context_collection(f"cloze {len(found) + 1}", *made, gold - first))
        if len(found) == limit:
            break
    return found


def paragraphs_of(text: str) -> Iterator[str]:
    r"""Paragraphs of at least three sentences, each on one line.

    Between two empty lines stands one paragraph, wrapped or not; where the lines there are too long
    to be wrapped ones, each of them is a paragraph.

    Example:
        >>> list(paragraphs_of("One is here. Two is\nthere. Three.\n\nA heading\n"))
        ['One is here. Two is there. Three.']
    """
    plain = plain_lines(text).text
    for start, end in text_paragraphs(plain):
        block = plain[start:end]
        lines = block.split("\n")
        wrapped = not lines or median(map(len, lines)) <= WRAPPED
        for piece in [block] if wrapped else lines:
            paragraph = " ".join(piece.split())
            for run in _runs(find_bounds(paragraph).sentences.tolist()):
                if len(run) >= MIN_SENTENCES:
                    yield paragraph[run[0][0] : run[-1][1]]


def _runs(bounds: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Consecutive sentences, as many as are no longer than a paragraph may be."""
    run: list[tuple[int, int]] = []
    for start, end in bounds:
        if run and end - run[0][0] > MAX_CHARACTERS:
            yield run
            run = []
        run.append((start, end))
    yield run


def _without_a_sentence(
    context: Sequence[str], gold: int, rng: random.Random
) -> tuple[str, list[str]] | None:
    """A sentence of paragraph ``gold``, and the context without it; ``None`` if none will do."""
    paragraph = context[gold]
    bounds = find_bounds(paragraph).sentences.tolist()
    for start, end in rng.sample(bounds, len(bounds)):
        sentence = paragraph[start:end]
        rest = f"{paragraph[:start].rstrip()} {paragraph[end:].lstrip()}".strip()
        left = [*context[:gold], rest, *context[gold + 1 :]]
        if len(sentence.split()) >= MIN_WORDS and not any(sentence in p for p in left):
            return sentence, left
    return None


def context_collection(
    name: str, question: str, paragraphs: Sequence[str], gold: int
) -> Collection:
    """One document of some paragraphs, and a question for which one of them is gold."""
    passages, text = [], ""
    for paragraph in paragraphs:
        text += "\n\n" if text else ""
        passages.append(Place("context", len(text), len(text) + len(paragraph)))
        text += paragraph
    asked = Question(name, question, gold_passages=(passages[gold],))
    return Collection((Document("context", text),), (asked,), tuple(passages))
