"""What retrieval finds, to the last digit: recorded before a change and compared after it.

Evidence recall forgives what moves; this does not. The documents are those that come with the
package and those of multi-hop records, asked in every mode and scoring, and as one text that is
compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from s3_retriever.cli.demo import sample_documents, sample_questions
from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.labels.datasets import load_collections
from s3_retriever.retrieval.presets import mode_names, preset_named
from s3_retriever.settings import Scoring
from s3_retriever.text import find_bounds
from s3_retriever.types import Document, Span

__all__ = ["Comparison", "QuestionSet", "compare", "question_sets", "record"]

COMPRESS = "compress"
"""Stands for a mode where a text was compressed."""
COMPRESSED_CHARACTERS = 40_000
"""Of a set's documents, joined, that are compressed: more than a window's worth."""
SCORINGS: tuple[Scoring, ...] = ("attention", "coactivation")
SMALLEST = 1e-9
"""Scores below it differ by nothing."""


@dataclass(frozen=True)
class QuestionSet:
    """Documents that make one index, and what is asked of it."""

    name: str
    documents: tuple[Document, ...]
    questions: tuple[str, ...]


class Way(NamedTuple):
    """How a question is asked."""

    mode: str
    scoring: Scoring | None


class Key(NamedTuple):
    """What one result belongs to."""

    set: str
    mode: str
    scoring: str
    question: str


def question_sets(data: Sequence[Path], *, limit: int, seed: int = 0) -> list[QuestionSet]:
    """The sample documents, and data sets in the corpus setting.

    Args:
        data: files of :func:`~s3_retriever.labels.datasets.load_collections`.
        limit: questions of each set; those that come with the samples are few, so sentences of the
            documents are asked after them.
        seed: of the draw from data.

    Raises:
        InputError: a file cannot be read, or two have the same name.
    """
    samples = sample_documents()
    asked = chain((sample.question for sample in sample_questions()), _sentences(samples))
    found = [QuestionSet("samples", tuple(samples), tuple(islice(dict.fromkeys(asked), limit)))]
    for path in data:
        [collection] = load_collections(path, setting="corpus", limit=limit, seed=seed)
        questions = dict.fromkeys(question.text for question in collection.questions)
        found.append(QuestionSet(path.stem, collection.documents, tuple(questions)))
    if len({one.name for one in found}) < len(found):
        raise InputError("two sets of questions have the same name; rename a file")
    return found


def _sentences(documents: Sequence[Document]) -> Iterator[str]:
    """Second sentences of all documents, then third ones, and so on."""
    bounds = [find_bounds(document.text).sentences.tolist() for document in documents]
    for number in range(1, max(map(len, bounds))):
        for document, sentences in zip(documents, bounds, strict=True):
            if number < len(sentences):
                start, end = sentences[number]
                yield document.text[start:end]


def ways(engine: Engine, modes: Sequence[str]) -> list[Way]:
    """Modes with each scoring that the profile allows; once where features are not asked."""
    found: list[Way] = []
    scorings = SCORINGS if engine.profile.card.heads else SCORINGS[1:]
    for mode in modes:
        scored = "features" in preset_named(mode).weights(engine.retrieve_settings)
        found += [Way(mode, scoring) for scoring in (scorings if scored else (None,))]
    return found


def record(
    engine: Engine,
    sets: Sequence[QuestionSet],
    *,
    modes: Sequence[str] | None = None,
    max_tokens: int = 512,
    on_result: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Ask everything.

    Args:
        engine: its model, profile and settings; its index is not touched.
        sets: from :func:`question_sets`.
        modes: presets; by default all.
        max_tokens: budget of a result.
        on_result: called with the results there are and those there will be.

    Returns:
        ``made_with`` (profile and budget), ``made_on`` (model, device and dtype) and ``results``:
        of each ``set``, ``mode`` (or ``compress``), ``scoring`` and ``question`` the ``spans``, in
        their order: ``id``, ``score`` and ``scores`` by leg.

    Raises:
        InputError: an unknown mode.
    """
    asked = ways(engine, mode_names() if modes is None else modes)
    total = sum(len(one.questions) for one in sets) * (len(asked) + 1)
    results: list[dict[str, Any]] = []
    for one in sets:
        for key, spans in _asked(engine, one, asked, max_tokens):
            spans_json = [{"id": s.id, "score": s.score, "scores": dict(s.scores)} for s in spans]
            results.append({**key._asdict(), "spans": spans_json})
            on_result(len(results), total)
    about = dict(engine.llm.describe())
    return {
        "made_with": {"profile": engine.profile.card.name, "max_tokens": max_tokens},
        "made_on": {
            "model": engine.llm.name,
            "device": about["device"],
            "dtype": about["dtype"],
        },
        "results": results,
    }


def _asked(
    engine: Engine, one: QuestionSet, asked: Sequence[Way], max_tokens: int
) -> Iterator[tuple[Key, Sequence[Span]]]:
    """The results of one set."""
    aside = Engine(
        engine.llm, engine.profile, scan=engine.scan_settings, retrieve=engine.retrieve_settings
    )
    aside.add(one.documents)
    for way in asked:
        for question in one.questions:
            spans = aside.retrieve(
                question, max_tokens=max_tokens, mode=way.mode, scoring=way.scoring
            )
            yield Key(one.name, way.mode, way.scoring or "", question), spans
    text = "\n\n".join(document.text for document in one.documents)[:COMPRESSED_CHARACTERS]
    for question in one.questions:
        compressed = aside.compress(question, text, max_tokens)
        yield Key(one.name, COMPRESS, "", question), compressed.spans


@dataclass(frozen=True)
class Comparison:
    """What differs between two recordings."""

    n: int
    """Results of each."""
    ids: tuple[Key, ...]
    """Where other spans were found, or the same in another order."""
    scores: Mapping[Key, float]
    """Of the others, those whose scores differ by more than the tolerance, and the largest relative
    difference."""
    largest: float
    """The largest relative difference within the tolerance."""


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], *, tolerance: float = 1e-4
) -> Comparison:
    """Compare two results of :func:`record`, question by question.

    Args:
        before: one of them.
        after: the other one.
        tolerance: largest relative difference of two scores that counts as none.

    Raises:
        InputError: they were not made with the same profile, budget and questions, or one is
            no recording.

    Example:
        >>> asked = {"set": "s", "mode": "bm25", "scoring": "", "question": "?"}
        >>> def recording(score):
        ...     spans = [{"id": "a:0-9", "score": score, "scores": {"bm25": 2.0}}]
        ...     return {"made_with": {}, "results": [{**asked, "spans": spans}]}
        >>> list(compare(recording(1.0), recording(0.75)).scores.values())
        [0.25]
    """
    try:
        first, second = _by_key(before), _by_key(after)
        if before["made_with"] != after["made_with"] or first.keys() != second.keys():
            raise InputError(
                f"the recordings are not of the same questions: {_about(before)}; {_about(after)}"
            )
        differences = {key: _difference(first[key], second[key]) for key in first}
    except (AttributeError, KeyError, TypeError) as e:
        raise InputError(f"this is no recording of retrieval results: {e!r}") from e
    found = {key: value for key, value in differences.items() if value is not None}
    return Comparison(
        n=len(differences),
        ids=tuple(key for key, value in differences.items() if value is None),
        scores={key: value for key, value in found.items() if value > tolerance},
        largest=max((value for value in found.values() if value <= tolerance), default=0.0),
    )


def _by_key(recorded: Mapping[str, Any]) -> dict[Key, Sequence[Mapping[str, Any]]]:
    return {Key(*(r[name] for name in Key._fields)): r["spans"] for r in recorded["results"]}


def _about(recorded: Mapping[str, Any]) -> str:
    made_with = ", ".join(f"{name} {value}" for name, value in recorded["made_with"].items())
    return f"{len(recorded['results'])} results with {made_with}"


def _difference(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> float | None:
    """The largest relative difference of two scores; ``None`` if other spans were found."""
    if [span["id"] for span in first] != [span["id"] for span in second]:
        return None
    largest = 0.0
    for a, b in zip(first, second, strict=True):
        if a["scores"].keys() != b["scores"].keys():
            return float("inf")
        pairs = [(a["score"], b["score"]), *((a["scores"][n], b["scores"][n]) for n in a["scores"])]
        for x, y in pairs:
            largest = max(largest, abs(x - y) / max(abs(x), abs(y), SMALLEST))
    return largest
