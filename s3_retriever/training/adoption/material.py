"""What a model is adopted with: questions to learn from, others to report on, and plain text."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.labels.datasets import load_collections
from s3_retriever.quoting import brief
from s3_retriever.text import find_bounds
from s3_retriever.training.calibration.calibration import with_labels
from s3_retriever.training.calibration.cloze import PARAGRAPHS, inverse_cloze, paragraphs_of

__all__ = ["Material", "from_labels", "from_text"]

MOST_CHARACTERS = 1_000_000
"""Of the text that autoencoders are trained on; more changes little and costs time."""
REPORTED = 0.3
"""Share of plain text that questions are only reported on."""


@dataclass(frozen=True)
class Material:
    """Questions in random order, each with its own context, and text without the reported ones."""

    learn: tuple[Collection, ...]
    """Of one document and one question each."""
    report: tuple[Collection, ...]
    """The same, of other questions and, made from plain text, of other paragraphs."""
    text: str
    """For the autoencoders; holds no context of :attr:`report`."""
    source: str
    """What it was made of, in words."""

    def first(self, n_learn: int, n_report: int) -> Material:
        """Fewer questions, the same text."""
        return replace(self, learn=self.learn[:n_learn], report=self.report[:n_report])


def from_labels(path: Path, *, seed: int) -> Material:
    """Labelled questions: half to learn from, half to report on.

    Args:
        path: a file of :func:`~s3_retriever.labels.datasets.load_collections`.
        seed: of the order.

    Raises:
        InputError: the file cannot be read, or has fewer than four usable questions.
    """
    asked = [
        replace(collection, questions=(question,))
        for collection in map(with_labels, load_collections(path))
        for question in collection.questions
    ]
    if len(asked) < 4:
        raise InputError(
            f"questions with both gold and other paragraphs in {brief(path)}: {len(asked)}; at "
            "least 4 are needed, and a hundred to choose well"
        )
    random.Random(seed).shuffle(asked)  # noqa: S311  (no secret)
    half = len(asked) // 2
    learn, report = tuple(asked[:half]), tuple(asked[half:])
    reported = {document.text for c in report for document in c.documents}
    texts = dict.fromkeys(d.text for c in learn for d in c.documents if d.text not in reported)
    return Material(learn, report, _joined(texts), f"labelled questions of {path.name}")


def from_text(texts: Sequence[str], *, seed: int) -> Material:
    """Questions made of plain text by the inverse cloze task.

    Args:
        texts: plain texts; the last three tenths of their paragraphs are only reported on.
        seed: of the draw.

    Raises:
        InputError: there are too few paragraphs of at least three sentences.
    """
    paragraphs = [paragraph for text in listed(texts, "texts") for paragraph in paragraphs_of(text)]
    cut = int(len(paragraphs) * (1 - REPORTED))
    if len(paragraphs) - cut < PARAGRAPHS:
        raise InputError(
            f"paragraphs of at least three sentences in the text: {len(paragraphs)}; "
            f"{round(PARAGRAPHS / REPORTED) + 1} are needed, and hundreds to choose well: "
            "give more text"
        )
    parts = ["\n\n".join(paragraphs[:cut]), "\n\n".join(paragraphs[cut:])]
    learn, report = (
        tuple(map(_with_evidence, inverse_cloze([part], limit=400, seed=seed))) for part in parts
    )
    return Material(learn, report, _joined([parts[0]]), "questions made of the given text")


def _with_evidence(collection: Collection) -> Collection:
    """Every sentence of the gold paragraph is evidence: which one answers is not known."""
    (question,), (gold,) = collection.questions, collection.questions[0].gold_passages
    sentences = find_bounds(collection.text(gold)).sentences.tolist()
    evidence = tuple(
        Place(gold.doc_id, gold.start + start, gold.start + end) for start, end in sentences
    )
    return replace(collection, questions=(replace(question, evidence=evidence),))


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(_upto(texts, MOST_CHARACTERS))


def _upto(texts: Iterable[str], most: int) -> Iterator[str]:
    for text in texts:
        if most <= 0:
            return
        yield text[:most]
        most -= len(text)
