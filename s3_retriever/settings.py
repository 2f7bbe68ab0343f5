"""Settings, one class per stage; every field says its unit, its default's source and its bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

__all__ = [
    "CandidateSettings",
    "DensitySettings",
    "FusionSettings",
    "Mode",
    "PseudoRelevanceFeedbackSettings",
    "QueryLikelihoodSettings",
    "RetrieveSettings",
    "SaeSettings",
    "ScanSettings",
    "Scoring",
    "ScoringSettings",
    "SpanSettings",
    "Weights",
]

Mode = str
"""Name of a preset (:mod:`s3_retriever.retrieval.presets`): which legs find spans."""

Scoring = Literal["attention", "coactivation"]
"""How features score a token: through the decoder and the chosen heads, or the published Eq. 7."""


_OLDER_WEIGHTS = {
    "features_weight": "features",
    "bm25_weight": "bm25",
    "feedback_weight": "pseudo_relevance_feedback",
    "passages_weight": "passages",
    "likelihood_weight": "query_likelihood",
}


def renamed(data: Any, names: Mapping[str, str]) -> Any:
    """Settings with the names that fields have today; what was saved before them goes on working.

    Example:
        >>> renamed({"rerank": 1, "spans": 2}, {"rerank": "query_likelihood"})
        {'query_likelihood': 1, 'spans': 2}
    """
    if not isinstance(data, Mapping):
        return data
    return {names.get(name, name): value for name, value in data.items()}


class Weights(Mapping[str, float]):
    """Weights by leg that cannot be changed, so that settings can be shared, hashed and compared.

    Example:
        >>> weights = Weights({"bm25": 2.0})
        >>> weights["bm25"], weights == {"bm25": 2.0}, hash(weights) == hash(Weights(weights))
        (2.0, True, True)
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        """Copy ``weights``."""
        self._weights = dict(weights or {})

    def __getitem__(self, leg: str) -> float:
        """The weight of a leg."""
        return self._weights[leg]

    def __iter__(self) -> Iterator[str]:
        """Names of legs."""
        return iter(self._weights)

    def __len__(self) -> int:
        """Number of legs."""
        return len(self._weights)

    def __hash__(self) -> int:
        """Of what :meth:`__eq__` compares."""
        return hash(frozenset(self._weights.items()))

    def __repr__(self) -> str:
        """As a dictionary."""
        return repr(self._weights)


_WeightsField = Annotated[
    Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    AfterValidator(Weights),
    PlainSerializer(dict, return_type=dict[str, float]),
]


_MOST = 2**31 - 1
"""Of every whole number: what counts and sizes are in all that is beneath the settings."""


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @model_validator(mode="after")
    def _bounded(self) -> _Settings:
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and value > _MOST:
                raise ValueError(f"{name} is more than {_MOST}")
        return self


class SaeSettings(_Settings):
    """Training of a sparse autoencoder. Defaults are the published ones."""

    expansion: int = Field(default=128, ge=1)
    """Latents per input dimension (published: 128)."""
    latents: int | None = Field(default=None, ge=1)
    """Number of latents; overrides ``expansion``."""
    k: int = Field(default=128, ge=1)
    """Active latents per token (published: 128)."""
    steps: int = Field(default=30_000, ge=1)
    """Optimizer steps (published: 30,000)."""
    batch_tokens: int = Field(default=4096, ge=1)
    """Tokens per step (published: 4096)."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Adam's peak rate; ``None`` is 2e-4 / sqrt(latents / 16384), the rule of sparsify (the paper
    leaves its rate blank)."""
    dead_tokens: int = Field(default=1_000_000, ge=1)
    """Tokens after which a latent that never fired counts as dead and is revived."""
    seed: int = 0
    """Decides the initial weights and the order of the tokens."""
    checkpoint_steps: int = Field(default=1000, ge=1)
    """Steps between two checkpoints."""

    def latents_for(self, d_in: int) -> int:
        """Number of latents for inputs of ``d_in`` dimensions."""
        return self.latents or self.expansion * d_in


class ScanSettings(_Settings):
    """Reading documents."""

    chunk_tokens: int = Field(default=2048, ge=16)
    """Tokens per chunk, each forwarded alone (published: 2048)."""
    batch_tokens: int = Field(default=4096, ge=16)
    """Most tokens in one forward pass, padding included; bounds the memory of a scan."""
    segment_tokens: int = Field(default=65_536, ge=1)
    """Tokens after which what was read is committed; bounds the memory of an ``add`` and what an
    interruption loses."""


class CandidateSettings(_Settings):
    """Which 64-token blocks are scored exactly."""

    words: int = Field(default=32, ge=0)
    """Blocks proposed by words (BM25). Few are better: the softmax of attention scoring is shared
    by all candidates, and many unlikely ones drown the likely (docs/quality.md)."""
    features: int = Field(default=16, ge=0)
    """Blocks proposed by features beside those of the words: by votes of the question's strongest,
    which is fast at any size and, beside words, loses no evidence (docs/performance.md)."""
    features_alone: int = Field(default=1024, ge=0)
    """Blocks proposed by features in mode ``features``, which uses no words. Attention scoring
    looks at every token for them: their time grows with the index (docs/performance.md)."""
    cover: int = Field(default=64, ge=0)
    """An index (or what a filter leaves of it) of at most this many blocks is scored whole."""
    query_features: int = Field(default=128, ge=1)
    """Features of the question that vote, strongest first."""


class ScoringSettings(_Settings):
    """Scores of single tokens."""

    pooling: Literal["max", "sum"] = "max"
    """How Eq. 7's a_f is pooled over the question's tokens (the paper does not say)."""
    stop_df: int | None = Field(default=5000, ge=1)
    """Eq. 7 leaves out features that occur at more positions than this (published: 5000);
    ``None`` keeps all."""
    best_tokens: int = Field(default=8, ge=1)
    """A passage is worth the mean of so many of its best tokens."""
    null_question: str | None = "N/A"
    """``attention`` subtracts what this content-free question attends to (ICR, arXiv 2410.02642);
    ``None`` switches it off."""


class DensitySettings(_Settings):
    """From token scores to peaks."""

    kernel: int = Field(default=8, ge=1)
    """Width of the 1-D convolution in tokens; 1 switches it off (published: 8 for questions, 48
    for summaries)."""
    centres: int = Field(default=40, ge=1)
    """Most peaks kept (published: 40)."""
    suppression: int = Field(default=8, ge=0)
    """Non-maximum suppression: tokens to each side of a peak in which no other may stand; 0
    switches it off (the paper gives no figure; 8 is the width of the convolution)."""


class SpanSettings(_Settings):
    """From peaks to pieces of text."""

    threshold: float = Field(default=1.0, ge=0, le=1)
    """A span grows while the density stays above this share of its peak; at 1 it is the peak's own
    sentence, which measured best under tight budgets."""
    max_tokens: int = Field(default=96, ge=1)
    """Longest growth from a peak, before widening to sentence bounds."""
    sentences: bool = True
    """Widen to sentence bounds; otherwise to whole words only."""
    passage_tokens: int = Field(default=256, ge=1)
    """Longest passage that is judged as one; of a longer paragraph it is what surrounds the
    candidate."""


class FusionSettings(_Settings):
    """The union of the legs (published Eq. 8)."""

    weights: _WeightsField = Field(default_factory=Weights)
    """Of the legs' relative scores, by leg, in place of the preset's own; 0 leaves a leg out."""
    bm25_spans: int = Field(default=40, ge=1)
    """Most spans from words."""
    lead_tokens: int = Field(default=0, ge=0)
    """First tokens of the best document. Eq. 8 has them; they are off for an index of many
    documents and on in ``compress``."""
    tail_tokens: int = Field(default=0, ge=0)
    """Last tokens of the best document, as above."""
    paragraph_weight: float = Field(default=0.8, ge=0)
    """Share of its paragraph's best score that a span gets on top; 0 switches it off. How all
    weights were chosen: docs/quality.md."""

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        """Take a field for each leg, as settings and profiles had before 0.1, for a weight."""
        if not isinstance(data, Mapping):
            return data
        weights = {leg: data[old] for old, leg in _OLDER_WEIGHTS.items() if old in data}
        others = {name: value for name, value in data.items() if name not in _OLDER_WEIGHTS}
        if weights:
            others["weights"] = {**weights, **others.get("weights", {})}
        return others


class PseudoRelevanceFeedbackSettings(_Settings):
    """The second hop: what the best evidence mentions and the question does not."""

    evidence: int = Field(default=2, ge=1)
    """Best spans whose words are looked up."""
    blocks: int = Field(default=32, ge=0)
    """Blocks proposed by these words."""
    max_df: float = Field(default=0.2, gt=0, le=1)
    """Words of a larger share of the blocks are left out; two blocks are always allowed."""
    spans: int = Field(default=40, ge=1)
    """Most spans from the second hop."""


class QueryLikelihoodSettings(_Settings):
    """The model's reading of the best passages (``hybrid`` mode)."""

    window: int = Field(default=2048, ge=1)
    """Most tokens of candidate passages to read, and of the question's copies behind them."""
    passages: int = Field(default=6, ge=1)
    """Most passages: the others, further down the ranking, cost time and change little
    (docs/quality.md)."""


class RetrieveSettings(_Settings):
    """Everything between a question and its spans."""

    candidates: CandidateSettings = CandidateSettings()
    scoring: ScoringSettings = ScoringSettings()
    density: DensitySettings = DensitySettings()
    spans: SpanSettings = SpanSettings()
    fusion: FusionSettings = FusionSettings()
    pseudo_relevance_feedback: PseudoRelevanceFeedbackSettings = PseudoRelevanceFeedbackSettings()
    query_likelihood: QueryLikelihoodSettings = QueryLikelihoodSettings()

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        return renamed(
            data, {"feedback": "pseudo_relevance_feedback", "rerank": "query_likelihood"}
        )
