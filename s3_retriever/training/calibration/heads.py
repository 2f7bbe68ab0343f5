"""What every query head of a model looks at for a question, from exact products with the keys.

Heads are judged by what they attend to, as in QRHead (arXiv 2506.09944) and ICR (arXiv 2410.02642),
but with keys that were read without the question and before the rotary embedding: as an index
holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s3_retriever.encoding.chunk_reader import ChunkReader
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.retrieval.query import ProjectedQuestion, project_question
from s3_retriever.settings import ScanSettings, ScoringSettings
from s3_retriever.types import Tokens

__all__ = ["HeadReader", "ReadContext"]


@dataclass(frozen=True)
class ReadContext:
    """A text's keys at every layer: the largest thing that calibration holds.

    It takes ``n_layers x n_tokens x n_kv_heads x head_dim`` numbers in the model's own dtype: 32 MB
    for 1,400 tokens of SmolLM2-135M in float32.
    """

    tokens: Tokens
    keys: Mapping[int, Tensor]
    """``(n_tokens, n_kv_heads, head_dim)`` by layer."""


class HeadReader:
    """Scores a context's tokens by each query head of a model alone.

    A score is what ``attention`` scoring gives with this one head
    (:class:`~s3_retriever.retrieval.scoring.AttentionScorer`), but for the autoencoder.
    """

    def __init__(
        self,
        llm: LanguageModel,
        card: ProfileCard,
        scan: ScanSettings | None = None,
        scoring: ScoringSettings | None = None,
        n_layers: int | None = None,
    ) -> None:
        """Project the null question.

        Args:
            llm: the model.
            card: gives the prefix of chunks and the question's prompt.
            scan: the size of chunks.
            scoring: the null question.
            n_layers: how many of the first layers are read; by default all.

        Raises:
            ProfileError: the prefix leaves no room for text.
        """
        settings = scan or ScanSettings()
        self._card = card
        self._llm = llm
        self._reader = ChunkReader(
            llm,
            self._card.chunk_prefix,
            bos=self._card.bos,
            chunk_tokens=settings.chunk_tokens,
        )
        self._layers = range(n_layers or llm.layout.n_layers)
        null = (scoring or ScoringSettings()).null_question
        self._null = [] if null is None else [self._project(null)]

    def read(self, text: str) -> ReadContext:
        """Read a text as a scan does: in chunks, each behind the profile's prefix."""
        tokens = self._llm.tokenize(text)
        return ReadContext(tokens, self._reader.read_text(tokens.ids, self._layers))

    def scores(self, context: ReadContext, question: str) -> np.ndarray:
        """Score every token by every head.

        Args:
            context: what was read; of at least one token.
            question: what is asked.

        Returns:
            ``(n_layers, n_heads, n_tokens)`` float32: the head's attention to the token, averaged
            over the question's tokens, less the null question's; in units of the average token's.

        Raises:
            InputError: the question is empty or too long.
        """
        asked, null = self.attention(context, question)
        scores: np.ndarray = asked - null
        return scores

    def attention(self, context: ReadContext, question: str) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`scores` is the difference of.

        Args:
            context: what was read; of at least one token.
            question: what is asked.

        Returns:
            Attention for the question and for the null question, ``(n_layers, n_heads, n_tokens)``
            float32 each, in units of the average token's; without a null question its is 0.

        Raises:
            InputError: the question is empty or too long.
        """
        n = len(context.tokens)
        shape = (len(self._layers), self._llm.layout.n_heads, n)
        found = [np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)]
        for into, asked in zip(found, [self._project(question), *self._null], strict=False):
            for layer, keys in context.keys.items():
                shares = self._attention(asked.queries[layer], keys.float())
                into[layer] = (shares * n).cpu().numpy()
        return found[0], found[1]

    def _project(self, question: str) -> ProjectedQuestion:
        return project_question(self._llm, self._card, question, self._layers)

    def _attention(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Mean share of attention that each key gets: ``(n_heads, n_keys)``."""
        layout = self._llm.layout
        grouped = queries.unflatten(1, (layout.n_kv_heads, layout.group))
        with torch.inference_mode():
            logits = torch.einsum("thgd,nhd->hgtn", grouped, keys) * layout.scaling
            return logits.softmax(-1).mean(2).flatten(0, 1)
