"""What of a model of :mod:`transformers` reads: its tokens, queries and keys, and what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.models.digest import weights_digest
from s3_retriever.models.families import AttentionLayout
from s3_retriever.models.forked import ModelLock
from s3_retriever.models.hooks import Projections
from s3_retriever.models.reading import ProjectionReader
from s3_retriever.models.tokenizing import TextTokenizer
from s3_retriever.types import Tokens

__all__ = ["ResidentReader"]


class ResidentReader:
    """A decoder in memory, or the first layers of one, and its tokenizer.

    :class:`~s3_retriever.models.transformers.TransformersModel` adds likelihoods and answers,
    :class:`~s3_retriever.models.first_layers.FirstLayers` says that it has none.
    Everything that runs the model takes ``lock``, so one object serves many threads.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, layout: AttentionLayout) -> None:
        """Wrap what is in memory.

        Args:
            model: a decoder of :mod:`transformers`, with or without a head.
            tokenizer: its tokenizer.
            name: where the weights came from.
            layout: the shape of the whole model's attention.

        Raises:
            ModelError: the tokenizer gives no character offsets.
        """
        config = model.config.get_text_config()
        self._text = TextTokenizer(tokenizer, name, vocabulary=config.vocab_size)
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.layout: AttentionLayout = layout
        self.lock = ModelLock(self.model)
        self._digests: dict[int, str] = {}
        self._reader = ProjectionReader(model, layout, self.lock)

    # What it is

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def window(self) -> int:
        """Most tokens the model takes at once."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    @property
    def weight_bytes(self) -> int:
        """Memory of the weights, shared ones counted once."""
        unique = {p.data_ptr(): p.numel() * p.element_size() for p in self.model.parameters()}
        return sum(unique.values())

    def describe(self) -> dict[str, str | int]:
        """``device``, ``dtype`` and ``weight_bytes`` (shared ones counted once)."""
        return {
            "device": str(self.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "weight_bytes": self.weight_bytes,
        }

    def weights_digest(self, last_layer: int) -> str:
        """See :func:`~s3_retriever.models.digest.weights_digest`; taken once."""
        if last_layer not in self._digests:
            self._digests[last_layer] = weights_digest(self.model, last_layer)
        return self._digests[last_layer]

    # Tokens

    def tokenizer_hash(self) -> str:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._text.tokenizer_hash()

    def tokenize(self, text: str) -> Tokens:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._text.tokenize(text)

    def count_tokens(self, text: str) -> int:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._text.count_tokens(text)

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._text.prefix_ids(text, bos=bos)

    @property
    def adds_bos(self) -> bool:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._text.adds_bos

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of token ids without the special ones, every space as it was."""
        return self._text.decode(ids)

    # Reading

    def project(
        self,
        chunks: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        with_keys: bool = True,
        with_queries: bool = False,
    ) -> Projections:
        """See :meth:`ProjectionReader.project <s3_retriever.models.reading.ProjectionReader>`."""
        return self._reader.project(chunks, layers, with_keys=with_keys, with_queries=with_queries)

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> dict[int, list[Tensor]]:
        """See :class:`~s3_retriever.models.base.KeyReader`."""
        return self._reader.read_keys(chunks, layers, prefix)

    def read_queries(
        self, texts: Sequence[np.ndarray], layers: Sequence[int]
    ) -> dict[int, list[Tensor]]:
        """See :class:`~s3_retriever.models.base.QueryReader`."""
        return self._reader.read_queries(texts, layers)
