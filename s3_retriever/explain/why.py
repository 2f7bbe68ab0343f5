"""Why this span, and why not that document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.explain.html import explanation_html
from s3_retriever.explain.reading import Reading, read_document
from s3_retriever.index.candidates import block_range
from s3_retriever.retrieve.candidates import owner_of
from s3_retriever.text import whole_words
from s3_retriever.types import Span, TokenScore

if TYPE_CHECKING:
    from s3_retriever.engine import Engine

__all__ = ["Example", "Explanation", "Feature", "WhyNot", "explain", "why_not"]

_FEATURES = 8
_EXAMPLES = 3
_AROUND = 40
"""Characters to each side of an example's token."""


@dataclass(frozen=True)
class Example:
    """A place elsewhere in the index where a feature fires."""

    doc_id: str
    start: int
    end: int
    text: str
    """The token with its surroundings."""


@dataclass(frozen=True)
class Feature:
    """A latent of an autoencoder that the question's heads looked for in the span."""

    layer: int
    latent: int
    contribution: float
    """What it added to the heads' logits, weighted by their attention."""
    tokens: tuple[str, ...]
    """The span's tokens it fired on, strongest first."""
    examples: tuple[Example, ...]
    """Where else in the index it fires; none if nowhere."""


@dataclass(frozen=True)
class Explanation:
    """Why a span was found."""

    question: str
    span: Span
    tokens: tuple[TokenScore, ...]
    """Attention to each token over the document's average, less the content-free question's."""
    heads: Mapping[str, float]
    """``layer.head``: its mean attention to the span, where 1 is the document's average."""
    features: tuple[Feature, ...]
    """Those that contributed most, best first."""
    legs: Mapping[str, float]
    """The score of each leg of the search that proposed it."""

    def _repr_html_(self) -> str:
        return explanation_html(self)


@dataclass(frozen=True)
class WhyNot:
    """What kept a document out of a result, and what it would take."""

    doc_id: str
    reason: str
    """One sentence."""
    rank: int | None = None
    """Place of its best span where nothing limits the result; ``None`` if it is not found."""
    max_tokens: int | None = None
    """The smallest budget that reaches its best span."""
    words_block: int | None = None
    """Place of its best block among those proposed by words; 0 is the best."""
    shared_words: tuple[str, ...] = ()
    """Words (stems) of the question that it has."""


def explain(engine: Engine, question: str, span: Span) -> Explanation:
    """Say which tokens, heads and features made the model look at ``span``.

    Args:
        engine: that found it.
        question: plain text.
        span: of ``engine.retrieve(question)``, or any range of an indexed document.

    Raises:
        InputError: its document is not in the index, or is another text by now.
        ProfileError: the profile names no heads.
    """
    reading = read_document(
        engine.generator,
        engine.profile,
        engine.index.snapshot,
        question,
        span.doc_id,
        null_question=engine.retrieve_settings.scoring.null_question,
    )
    if reading.text[span.start : span.end] != span.text:
        raise InputError(f"document {span.doc_id!r} has changed since {span.id} was found")
    inside = np.flatnonzero((reading.starts < span.end) & (reading.ends > span.start))
    return Explanation(
        question=question,
        span=span,
        tokens=tuple(
            TokenScore(int(reading.starts[n]), int(reading.ends[n]), float(reading.scores[n]))
            for n in inside
        ),
        heads={
            f"{h.head.layer}.{h.head.head}": float(h.shares[inside].mean()) for h in reading.heads
        },
        features=_features(engine, reading, inside, span),
        legs=dict(span.scores),
    )


def _features(
    engine: Engine, reading: Reading, inside: np.ndarray, span: Span
) -> tuple[Feature, ...]:
    added: dict[tuple[int, int], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for head in reading.heads:
        for n in inside:
            latents = reading.latents[n, head.hookpoint].tolist()
            for latent, value in zip(latents, head.contributions[n].tolist(), strict=True):
                added[head.hookpoint, latent][int(n)] += head.head.weight * value
    totals = {key: sum(by_token.values()) for key, by_token in added.items()}
    best = sorted((key for key in totals if totals[key] > 0), key=lambda key: -totals[key])
    return tuple(
        Feature(
            layer=engine.profile.card.hookpoints[hookpoint].layer,
            latent=latent,
            contribution=totals[hookpoint, latent],
            tokens=tuple(
                reading.text[reading.starts[n] : reading.ends[n]].strip()
                for n, value in sorted(added[hookpoint, latent].items(), key=lambda i: -i[1])
                if value > 0
            ),
            examples=_examples(engine, hookpoint, latent, span),
        )
        for hookpoint, latent in best[:_FEATURES]
    )


def _examples(engine: Engine, hookpoint: int, latent: int, span: Span) -> tuple[Example, ...]:
    """Tokens outside of ``span`` on which a latent fires, one a block."""
    snapshot = engine.index.snapshot
    wanted: list[Mapping[int, float]] = [{} for _ in engine.profile.card.hookpoints]
    wanted[hookpoint] = {latent: 1.0}
    found: list[Example] = []
    for hit in engine.index.candidates.search_features(wanted, 4 * _EXAMPLES, None):
        owner = owner_of(snapshot, hit.block)
        if owner is None:
            continue
        segment, entry = owner
        first, last = block_range(entry, hit.block.number)
        fires = segment.ids[first:last, hookpoint] == latent
        strengths = np.where(fires, segment.activations[first:last, hookpoint], 0).max(1)
        row = first + int(strengths.argmax())
        start, end = int(segment.starts[row]), int(segment.ends[row])
        here = entry.id == span.doc_id and span.start < end and start < span.end
        if strengths.max() > 0 and not here:
            text = segment.text(entry)
            reach = max(0, start - _AROUND), min(len(text), end + _AROUND)
            around = text[slice(*whole_words(text, *reach))]
            found.append(Example(entry.id, start, end, " ".join(around.split())))
        if len(found) == _EXAMPLES:
            break
    return tuple(found)


def why_not(engine: Engine, question: str, doc_id: str, **arguments: Any) -> WhyNot:
    """Say at which stage a document is lost, and what would bring it in.

    Args:
        engine: that was asked.
        question: plain text.
        doc_id: the document that was expected.
        **arguments: those of the :meth:`~s3_retriever.Engine.retrieve` that did not find it.

    Raises:
        InputError: as :meth:`~s3_retriever.Engine.retrieve`.
    """
    if doc_id not in engine:
        return WhyNot(doc_id, "It is not in the index; add it.")
    condition = arguments.get("filter")
    if condition is not None and doc_id not in engine.ids(condition):
        return WhyNot(doc_id, "Its metadata do not pass the filter.")
    limits = {
        name: arguments.pop(name, default) for name, default in (("max_tokens", 512), ("k", None))
    }
    spans = engine.retrieve(question, max_tokens=None, k=None, **arguments)
    rank = next((span.rank for span in spans if span.doc_id == doc_id), None)
    if rank is None:
        return _never_proposed(engine, question, doc_id)
    needed = sum(engine.generator.count_tokens(span.text) for span in spans[: rank + 1])
    limited = engine.retrieve(question, **limits, **arguments)
    if any(span.doc_id == doc_id for span in limited):
        reason = "It is in the result."
    else:
        reason = f"Its best span is number {rank + 1}: it takes max_tokens={needed}" + (
            f" and k={rank + 1}." if limits["k"] is not None else "."
        )
    return WhyNot(doc_id, reason, rank=rank, max_tokens=needed)


def _never_proposed(engine: Engine, question: str, doc_id: str) -> WhyNot:
    """For a document of which no leg found a span."""
    candidates, snapshot = engine.index.candidates, engine.index.snapshot
    words = candidates.words(question)
    text = engine.get(doc_id)
    shared = sorted(set(words) & set(candidates.words(text.text if text else "")))
    place = next(
        (
            n
            for n, hit in enumerate(candidates.search_words(words, snapshot.n_blocks, None))
            if (owner := owner_of(snapshot, hit.block)) and owner[1].id == doc_id
        ),
        None,
    )
    if place is None:
        reason = "It shares no word with the question, and the heads look elsewhere."
    else:
        reason = (
            f"Its best block is number {place + 1} by words, and "
            f"{engine.retrieve_settings.candidates.words} are looked at: raise candidates.words."
        )
    return WhyNot(doc_id, reason, words_block=place, shared_words=tuple(shared))
