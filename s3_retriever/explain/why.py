"""Why this span, and why not that document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.explain.reading import Reading
from s3_retriever.html import explanation_html
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, quoted
from s3_retriever.retrieval.budget import priced
from s3_retriever.retrieval.spans import widened_to_words
from s3_retriever.search.base import CandidateSearch
from s3_retriever.search.languages import document_language
from s3_retriever.settings import CandidateSettings
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import Span, SpanRef, TokenScore

__all__ = ["Example", "Explanation", "Feature", "WhyNot", "explain", "why_not"]

_FEATURES = 8
_EXAMPLES = 3
_AROUND = 40
"""Characters to each side of an example's token."""
_ABSTAINED = (
    "The result is empty, because the evidence is below the threshold of engine.abstention."
)


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
    heads: Mapping[str, float] = field(hash=False)
    """``layer.head``: its mean attention to the span, where 1 is the document's average."""
    features: tuple[Feature, ...]
    """Those that contributed most, best first."""
    legs: Mapping[str, float] = field(hash=False)
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


def explain(
    store: CodeStore,
    search: CandidateSearch,
    card: ProfileCard,
    reading: Reading,
    question: str,
    span: Span,
) -> Explanation:
    """Say which tokens, heads and features made the model look at ``span``.

    Args:
        store: one state of an index.
        search: of the same state.
        card: of the profile.
        reading: of the span's document in that state.
        question: plain text.
        span: that was found for it, or any range of an indexed document.

    Raises:
        InputError: the document is another text by now.
    """
    if reading.text[span.start : span.end] != span.text:
        raise InputError(
            f"document {quoted(span.doc_id)} has changed since {brief(span.id)} was found"
        )
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
        features=_features(store, search, card, reading, inside, span),
        legs=dict(span.scores),
    )


def _features(
    store: CodeStore,
    search: CandidateSearch,
    card: ProfileCard,
    reading: Reading,
    inside: np.ndarray,
    span: Span,
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
            layer=card.hookpoints[hookpoint].layer,
            latent=latent,
            contribution=totals[hookpoint, latent],
            tokens=tuple(
                reading.text[reading.starts[n] : reading.ends[n]].strip()
                for n, value in sorted(added[hookpoint, latent].items(), key=lambda i: -i[1])
                if value > 0
            ),
            examples=_examples(store, search, len(card.hookpoints), hookpoint, latent, span),
        )
        for hookpoint, latent in best[:_FEATURES]
    )


def _examples(
    store: CodeStore,
    search: CandidateSearch,
    n_hookpoints: int,
    hookpoint: int,
    latent: int,
    span: Span,
) -> tuple[Example, ...]:
    """Tokens outside of ``span`` on which a latent fires, one a block."""
    wanted: list[Mapping[int, float]] = [{} for _ in range(n_hookpoints)]
    wanted[hookpoint] = {latent: 1.0}
    found: list[Example] = []
    for hit in search.search_features(wanted, 4 * _EXAMPLES):
        batch = store.tokens([hit.tokens])
        fires = batch.ids[:, hookpoint] == latent
        strengths = np.where(fires, batch.activations[:, hookpoint], 0).max(1)
        row = int(strengths.argmax())
        place = SpanRef(hit.tokens.doc_id, int(batch.starts[row]), int(batch.ends[row]))
        if strengths.max() > 0 and not place.overlaps(span.ref):
            end = min(store.n_characters(place.doc_id), place.end + _AROUND)
            reach = SpanRef(place.doc_id, max(0, place.start - _AROUND), end)
            around = store.text(widened_to_words(store, reach))
            text = " ".join(around.split())
            found.append(Example(place.doc_id, place.start, place.end, text))
        if len(found) == _EXAMPLES:
            break
    return tuple(found)


def why_not(
    store: CodeStore,
    search: CandidateSearch,
    question: str,
    doc_id: str,
    *,
    allowed: bool,
    retrieve: Callable[[int | None, int | None], Sequence[Span]],
    abstains: Callable[[Sequence[Span]], bool],
    count_tokens: Callable[[str], int],
    max_tokens: int | None,
    k: int | None,
    candidates: CandidateSettings,
) -> WhyNot:
    """Say at which stage a document is lost, and what would bring it in.

    Args:
        store: the state of the index that was asked.
        search: of the same state.
        question: plain text.
        doc_id: the document that was expected.
        allowed: whether its metadata pass the question's filter.
        retrieve: spans of that state under a budget of tokens and a number of spans.
        abstains: whether the engine holds spans for too little evidence.
        count_tokens: the model's own count.
        max_tokens: the budget that was given.
        k: the number of spans that was asked for.
        candidates: the settings that were used.

    Raises:
        InputError: as :meth:`~s3_retriever.Engine.retrieve`.
    """
    if doc_id not in store:
        return WhyNot(doc_id, "It is not in the index; add it.")
    if not allowed:
        return WhyNot(doc_id, "Its metadata do not pass the filter.")
    limited, unlimited = retrieve(max_tokens, k), retrieve(None, None)
    rank = next((span.rank for span in unlimited if span.doc_id == doc_id), None)
    if rank is None:
        why = _never_proposed(store, search, question, doc_id, candidates)
    else:
        needed = sum(
            count_tokens(priced(span.text, first=span.rank == 0)) for span in unlimited[: rank + 1]
        )
        reason = f"Its best span is number {rank + 1}: it takes max_tokens={needed}"
        reason += f" and k={rank + 1}." if k is not None else "."
        if any(span.doc_id == doc_id for span in limited):
            reason = "It is in the result."
        why = WhyNot(doc_id, reason, rank=rank, max_tokens=needed)
    if limited and abstains(limited):
        why = replace(why, reason=f"{_ABSTAINED} Without that: {why.reason}")
    return why


def _never_proposed(
    store: CodeStore,
    search: CandidateSearch,
    question: str,
    doc_id: str,
    candidates: CandidateSettings,
) -> WhyNot:
    """For a document of which no leg found a span."""
    words = search.words(question)
    text = store.text(SpanRef(doc_id, 0, store.n_characters(doc_id)))
    language = document_language(store.metadata(doc_id), text)
    shared = sorted(set(words) & set(search.words(text, language)))
    hits = search.search_words(words, search.n_blocks)
    place = next((n for n, hit in enumerate(hits) if hit.tokens.doc_id == doc_id), None)
    if place is None:
        reason = "It shares no word with the question, and the heads look elsewhere."
    elif place < candidates.words:
        reason = "Its best block was looked at, and others were better by every leg that was asked."
    else:
        reason = (
            f"Its best block is number {place + 1} by words, and "
            f"{candidates.words} are looked at: raise candidates.words."
        )
    return WhyNot(doc_id, reason, words_block=place, shared_words=tuple(shared))
