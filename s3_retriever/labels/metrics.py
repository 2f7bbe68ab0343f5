"""What a ranking, and what of it fits a budget, is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Place, Question

__all__ = [
    "all_evidence",
    "answer_recall",
    "evidence_recall",
    "graded",
    "overlap",
    "passage_recall",
    "require_ir_measures",
]

COVERED = 0.9
"""Share of a gold sentence's characters that must be there for it to count."""


def evidence_recall(question: Question, places: Sequence[Place]) -> float | None:
    """Share of the gold sentences that ``places`` cover; ``None`` if no evidence is labelled."""
    if not question.evidence:
        return None
    return float(np.mean([_covered(gold, places) for gold in question.evidence]))


def all_evidence(question: Question, places: Sequence[Place]) -> float | None:
    """1 if every gold sentence is covered, else 0; ``None`` if no evidence is labelled."""
    recall = evidence_recall(question, places)
    return None if recall is None else float(recall == 1)


def answer_recall(question: Question, text: str) -> float | None:
    """1 if a gold answer is in ``text``, whatever its case, else 0; ``None`` without answers."""
    answers = [answer.lower() for answer in question.answers if answer]
    if not answers:
        return None
    lowered = text.lower()
    return float(any(answer in lowered for answer in answers))


def overlap(question: Question, places: Sequence[Place]) -> dict[str, float]:
    """How exactly ``places`` are the evidence, character by character; empty without evidence.

    Source: Smith and Troynikov, Evaluating Chunking Strategies for Retrieval (Chroma, 2024), where
    it is called token-wise and counted in characters, too.

    Returns:
        ``span_recall``, ``span_precision`` and ``span_iou``: the characters that are both
        retrieved and evidence, as a share of the evidence, of what is retrieved (0 if nothing is),
        and of both together.
    """
    if not question.evidence:
        return {}
    gold, retrieved = _characters(question.evidence), _characters(places)
    either = _characters([*question.evidence, *places])
    both = gold + retrieved - either
    return {
        "span_recall": both / gold,
        "span_precision": both / retrieved if retrieved else 0.0,
        "span_iou": both / either,
    }


def passage_recall(
    collection: Collection, question: Question, ranking: Sequence[Place], k: int
) -> float | None:
    """Share of the gold passages among the first ``k``; ``None`` if none are labelled.

    Passages stand in the order of the first place that touches them; those that one place touches
    stand in the text's order.
    """
    if not question.gold_passages:
        return None
    found: dict[Place, None] = {}
    for place in ranking:
        for passage in collection.passages_of.get(place.doc_id, ()):
            if passage.start < place.end and place.start < passage.end:
                found.setdefault(passage)
        if len(found) >= k:
            break
    first = list(found)[:k]
    return sum(gold in first for gold in question.gold_passages) / len(question.gold_passages)


def graded(question: Question, ranking: Sequence[Place]) -> dict[str, float]:
    """nDCG@10 and recall@100 by ir-measures; empty if no documents are judged.

    Documents stand in the order of the first place of each.

    Raises:
        InputError: ir-measures is not installed.
    """
    if not question.grades:
        return {}
    require_ir_measures()
    from ir_measures import R, iter_calc, nDCG

    names = {nDCG @ 10: "ndcg@10", R @ 100: "recall@100"}
    documents = list(dict.fromkeys(place.doc_id for place in ranking))
    run = {doc_id: float(-rank) for rank, doc_id in enumerate(documents)}
    found = iter_calc(list(names), {question.id: dict(question.grades)}, {question.id: run})
    return {names[metric.measure]: metric.value for metric in found}


def require_ir_measures() -> None:
    """Say early that ir-measures is missing.

    Raises:
        InputError: it is; the message says how to install it.
    """
    try:
        import ir_measures  # noqa: F401
    except ImportError as e:
        raise InputError(
            "graded judgements need ir-measures: pip install s3-retriever-bench"
        ) from e


def _covered(gold: Place, places: Sequence[Place]) -> bool:
    mask = np.zeros(gold.end - gold.start, dtype=bool)
    for place in places:
        if place.doc_id == gold.doc_id:
            mask[max(0, place.start - gold.start) : max(0, place.end - gold.start)] = True
    return bool(mask.mean() >= COVERED)


def _characters(places: Sequence[Place]) -> int:
    """How many there are in the places together; where several overlap, once."""
    total = 0
    doc_id, end = "", 0
    for place in sorted(places):
        if place.doc_id != doc_id:
            doc_id, end = place.doc_id, 0
        total += max(0, place.end - max(place.start, end))
        end = max(end, place.end)
    return total
