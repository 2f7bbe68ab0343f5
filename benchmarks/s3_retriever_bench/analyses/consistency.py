"""What reading chunk by chunk changes, against one forward pass over the whole document.

Source: S3-Attention (arXiv 2601.17702), appendix I: cosine and relative error of keys, Jaccard of
active features, IoU of retrieved positions. Added here: the same without the positions that a chunk
makes special (its attention sinks), the same as this library reads (behind a constant prefix that
takes the sinks), and evidence recall, because alike is not yet right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import cosine_similarity

from s3_retriever.encoding.chunks import chunks_of
from s3_retriever.encoding.codes import code_keys, id_dtype
from s3_retriever.engine import Engine
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.labels.metrics import evidence_recall
from s3_retriever.models.hooks import decoder_layers
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.settings import RetrieveSettings, Scoring
from s3_retriever.storage.index import Index
from s3_retriever.text import find_bounds
from s3_retriever.types import Document, EncodedDocument, Tokens
from s3_retriever_bench.analyses.consistency_page import METRICS
from s3_retriever_bench.keys import read_keys
from s3_retriever_bench.methods.method import own_weights
from s3_retriever_bench.methods.s3 import PUBLISHED

__all__ = ["jaccard", "measure_consistency"]

VARIANTS = ("published", "without sinks", "shipped")
"""Chunks alone; the same, compared without their sinks; chunks behind the profile's prefix."""

SINK_TOKENS = 4
"""Tokens at a chunk's beginning that count as sinks."""
MASSIVE = 10.0
"""A position whose residual norm is so many times the median is a sink, too (massive activations,
arXiv 2402.17762)."""


@dataclass(frozen=True)
class _Reading:
    """One document, read in chunks of one size."""

    keys: Sequence[Tensor]
    """For each hookpoint ``(n, d_in)`` float32."""
    ids: np.ndarray
    """``(n, n_hookpoints, k)``"""
    steps: np.ndarray
    """``(n, n_hookpoints, k)`` uint8; 0 is no feature."""
    sinks: np.ndarray
    """``(n,)`` bool: first of a chunk, or massive."""


def measure_consistency(
    engine: Engine,
    collections: Sequence[Collection],
    *,
    sizes: Sequence[int],
    budget: int,
    seed: int = 0,
    on_pass: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Compare readings in chunks with one reading of the whole document.

    Args:
        engine: its model, profile and settings; its index is not touched.
        collections: of one document each that fits the model's window behind the profile's prefix.
        sizes: tokens of a chunk.
        budget: of retrieved spans, in tokens.
        seed: of the bootstrap.
        on_pass: called with the readings done and those there are.

    Returns:
        ``tokens`` (of each document), ``questions``, ``hookpoints``; ``variants``: by variant and
        chunk size each metric's ``mean`` and ``worst`` (hookpoint and document, for those of keys
        and features; question, for IoU); ``evidence_recall``: by scoring, variant and chunk size
        (``full`` for the whole document, which ``without sinks`` lacks: what it leaves out depends
        on the size) mean and interval; ``sinks``: by chunk size the share of positions left out.
    """
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    recalls: dict[tuple[Scoring, str, str], list[float]] = defaultdict(list)
    shares: dict[str, list[float]] = defaultdict(list)
    lengths = []
    total, done = 2 * len(collections) * (len(sizes) + 1), 0
    for collection in collections:
        asking = _Asking(engine, collection, budget)
        n = len(asking.tokens)
        lengths.append(n)
        for prefix in ("", engine.profile.card.chunk_prefix):
            full = _read(engine, asking.tokens, n, prefix)
            on_pass(done := done + 1, total)
            everything = np.ones(n, dtype=bool)
            whole = asking.answers(full, everything)
            for scoring, answers in whole.items():
                recalls[scoring, "shipped" if prefix else "published", "full"] += answers.recalls
            for size in sizes:
                part = _read(engine, asking.tokens, size, prefix)
                on_pass(done := done + 1, total)
                kept = {("shipped" if prefix else "published"): everything}
                if not prefix:
                    kept["without sinks"] = ~(part.sinks | full.sinks)
                    shares[str(size)].append(1 - float(kept["without sinks"].mean()))
                for variant, keep in kept.items():
                    for metric, values in _alike(part, full, keep).items():
                        found[variant, str(size), metric] += values
                    reference = whole if keep.all() else asking.answers(full, keep)
                    for scoring, answers in asking.answers(part, keep).items():
                        recalls[scoring, variant, str(size)] += answers.recalls
                        pairs = zip(answers.masks, reference[scoring].masks, strict=True)
                        found[variant, str(size), f"iou_{scoring}"] += [
                            _iou(a, b) for a, b in pairs
                        ]
    return {
        "tokens": lengths,
        "questions": sum(len(c.questions) for c in collections),
        "hookpoints": [h.folder for h in engine.profile.card.hookpoints],
        "sizes": list(sizes),
        "budget": budget,
        "sinks": {size: float(np.mean(values)) for size, values in shares.items()},
        "variants": {
            variant: {
                str(size): {
                    metric: _summary(found[variant, str(size), metric], metric)
                    for metric in METRICS
                    if (variant, str(size), metric) in found
                }
                for size in sizes
            }
            for variant in VARIANTS
        },
        "evidence_recall": _nested(
            {key: bootstrap(values, seed=seed) for key, values in recalls.items()}
        ),
    }


@dataclass(frozen=True)
class _Answers:
    """What one reading retrieves for each question of a document."""

    masks: Sequence[np.ndarray]
    """``(n_tokens,)`` bool each: the retrieved positions."""
    recalls: list[float]
    """Of the questions with evidence."""


class _Asking:
    """Asks the questions of one document of readings of it."""

    def __init__(self, engine: Engine, collection: Collection, budget: int) -> None:
        [self._document] = collection.documents
        self.tokens: Tokens = engine.llm.tokenize(self._document.text)
        self._questions = collection.questions
        self._engine = engine
        self._retriever = Retriever(engine.llm, engine.profile)
        self._budget = budget
        self._settings: dict[Scoring, RetrieveSettings] = {"coactivation": PUBLISHED}
        if engine.profile.card.heads:
            self._settings["attention"] = engine.retrieve_settings

    def answers(self, reading: _Reading, keep: np.ndarray) -> dict[Scoring, _Answers]:
        """By scoring, what an index of the kept positions gives, from the codes alone."""
        index = self._index(reading, keep)
        found: dict[Scoring, _Answers] = {}
        for scoring, settings in self._settings.items():
            masks, recalls = [], []
            for question in self._questions:
                places = self._places(index, question.text, scoring, settings)
                masks.append(self._mask(places))
                if (recall := evidence_recall(question, places)) is not None:
                    recalls.append(recall)
            found[scoring] = _Answers(masks, recalls)
        return found

    def _index(self, reading: _Reading, keep: np.ndarray) -> Index:
        encoded = EncodedDocument(
            document=Document("context", self._document.text),
            starts=self.tokens.starts[keep],
            ends=self.tokens.ends[keep],
            ids=reading.ids[keep],
            activations=reading.steps[keep],
            bounds=find_bounds(self._document.text),
        )
        index = Index(None, self._engine.profile.card)
        with index.writing():
            index.commit([encoded])
        return index

    def _places(
        self, index: Index, question: str, scoring: Scoring, settings: RetrieveSettings
    ) -> list[Place]:
        spans = self._retriever.retrieve(
            index.view,
            index.view.search,
            question,
            max_tokens=self._budget,
            mode="features",
            scoring=scoring,
            settings=settings,
        )
        return [Place("context", span.start, span.end) for span in spans]

    def _mask(self, places: Sequence[Place]) -> np.ndarray:
        mask = np.zeros(len(self.tokens), dtype=bool)
        for place in places:
            mask |= (self.tokens.starts < place.end) & (self.tokens.ends > place.start)
        return mask


def _read(engine: Engine, tokens: Tokens, size: int, prefix: str) -> _Reading:
    """Keys, codes and sinks of a document in chunks of ``size``."""
    llm, profile = own_weights(engine), engine.profile
    card = profile.card
    n_before = len(llm.prefix_ids(prefix, bos=card.bos))
    with _residual_norms(llm, profile.layers[-1]) as norms:
        keys = read_keys(llm, profile, tokens.ids, chunk_tokens=size, prefix=prefix)
    ids = np.zeros((len(tokens), len(keys), card.k), dtype=id_dtype(card.n_latents))
    steps = np.zeros(ids.shape, dtype=np.uint8)
    for number, (sae, hookpoint) in enumerate(zip(profile.saes, card.hookpoints, strict=True)):
        codes = code_keys(sae, keys[number].to(llm.device), hookpoint.activation_scale)
        ids[:, number], steps[:, number] = (part.cpu().numpy() for part in codes)
    length = np.concatenate([chunk[n_before:] for chunk in norms])
    sinks = length > MASSIVE * np.median(length)
    for start, _ in chunks_of(len(tokens), size):
        sinks[start : start + SINK_TOKENS] = True
    return _Reading(keys, ids, steps, sinks)


@contextmanager
def _residual_norms(llm: TransformersModel, layer: int) -> Iterator[list[np.ndarray]]:
    """Collect the norm of what enters a layer, ``(n_tokens,)`` for each forward pass."""
    norms: list[np.ndarray] = []

    def hook(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        norms.append(hidden[0].float().norm(dim=-1).cpu().numpy())

    block = decoder_layers(llm.model)[layer]
    handle = block.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield norms
    finally:
        handle.remove()


def _alike(part: _Reading, full: _Reading, keep: np.ndarray) -> dict[str, list[float]]:
    """The metrics of keys and features, means over positions, one value a hookpoint."""
    found: dict[str, list[float]] = defaultdict(list)
    for number, (a, b) in enumerate(zip(part.keys, full.keys, strict=True)):
        a, b = a[keep], b[keep]
        found["k_cosine"].append(float(cosine_similarity(a, b).mean()))
        errors = (a - b).norm(dim=1) / b.norm(dim=1).clamp_min(1e-6)
        found["relative_error"].append(float(errors.mean()))
        found["jaccard"].append(
            jaccard(*((r.ids[keep, number], r.steps[keep, number] > 0) for r in (part, full)))
        )
    return found


def jaccard(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean over positions of the Jaccard similarity of the active features.

    Args:
        a: ids ``(n, k)``, each position's distinct, and which of them are active ``(n, k)`` bool.
        b: the same positions, read otherwise.

    Example:
        >>> on = np.array([[True, True]])
        >>> round(jaccard((np.array([[1, 2]]), on), (np.array([[2, 3]]), on)), 3)
        0.333
    """
    (ids_a, on_a), (ids_b, on_b) = a, b
    same = (ids_a[:, :, None] == ids_b[:, None]) & on_a[:, :, None] & on_b[:, None]
    both = same.sum((1, 2))
    either = on_a.sum(1) + on_b.sum(1) - both
    return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    either = int((a | b).sum())
    return float((a & b).sum() / either) if either else 1.0


def _summary(values: Sequence[float], metric: str) -> dict[str, float]:
    worst = max if metric == "relative_error" else min
    return {"mean": float(np.mean(values)), "worst": float(worst(values))}


def _nested(flat: Mapping[tuple[str, str, str], Any]) -> dict[str, Any]:
    nested: dict[str, dict[str, dict[str, Any]]] = {}
    for (first, second, third), value in flat.items():
        nested.setdefault(first, {}).setdefault(second, {})[third] = value
    return nested
