"""The layers that a profile reads and no others: all that scanning takes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import torch

from s3_retriever.errors import InputError, NotLoadedError
from s3_retriever.models.base import LikelihoodJudge
from s3_retriever.models.families import AttentionLayout
from s3_retriever.models.hooks import Projections, decoder_layers
from s3_retriever.models.loading import load_first_layers
from s3_retriever.models.refusals import Headless
from s3_retriever.models.resident import ResidentReader
from s3_retriever.models.weights import bound_model
from s3_retriever.quoting import brief

__all__ = ["FirstLayers"]


class FirstLayers(Headless, ResidentReader):
    """The embedding and the first layers of a language model, in memory without the others.

    Its keys, queries and digests are those of the whole model, to the last bit. What takes the
    later layers (likelihoods of questions, answers) raises
    :class:`~s3_retriever.errors.NotLoadedError`.

    Example:
        >>> part = FirstLayers.load("HuggingFaceTB/SmolLM2-135M-Instruct", 19)
        >>> part.n_loaded, part.layout.n_layers
        (19, 30)
        >>> ids = part.tokenize("Who?").ids
        >>> tuple(part.read_queries([ids], [17])[17][0].shape)  # tokens, heads, head_dim
        (2, 9, 64)
        >>> part.chat_ids([{"role": "user", "content": "Who?"}])
        Traceback (most recent call last):
        ...
        s3_retriever.errors.NotLoadedError: only the first 19 of 30 layers of ...
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, layout: AttentionLayout) -> None:
        """Wrap what :func:`~s3_retriever.models.loading.load_first_layers` gave.

        Args:
            model: a decoder of :mod:`transformers`.
            tokenizer: its tokenizer.
            name: where the weights came from.
            layout: of the whole model.

        Raises:
            ModelError: the tokenizer gives no character offsets.
        """
        super().__init__(model, tokenizer, name, layout)
        self.n_loaded = len(decoder_layers(model))
        self._judge: LikelihoodJudge | None = None

    @classmethod
    def load(
        cls,
        model: str,
        n: int,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> FirstLayers:
        """Load the first layers of a hub id, a local folder or a ``.gguf`` file.

        Args:
            model: where the weights are (see :func:`~s3_retriever.models.weights.find_weights`).
            n: how many layers: one more than the number of the last that is read.
            revision: a hub revision.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware computes with it, else float32.

        Raises:
            InputError: less than one layer.
            ModelError: the weights cannot be found or read, the family is unknown, or the device
                cannot be used.
        """
        if n < 1:
            raise InputError(f"at least one layer has to be loaded, not {n}")
        model = bound_model(model)
        loaded = load_first_layers(model, n, revision=revision, device=device, dtype=dtype)
        module, tokenizer, layout = loaded
        return cls(module, tokenizer, model, layout)

    def weights_digest(self, last_layer: int) -> str:
        """See :func:`~s3_retriever.models.digest.weights_digest`; taken once.

        Raises:
            NotLoadedError: of a layer that is not there.
        """
        self._need([last_layer])
        return super().weights_digest(last_layer)

    def project(
        self,
        chunks: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        with_keys: bool = True,
        with_queries: bool = False,
    ) -> Projections:
        """See :meth:`ProjectionReader.project <s3_retriever.models.reading.ProjectionReader>`.

        Raises:
            NotLoadedError: of a layer that is not there.
        """
        self._need(layers)
        return super().project(chunks, layers, with_keys=with_keys, with_queries=with_queries)

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> dict[int, list[torch.Tensor]]:
        """See :class:`~s3_retriever.models.base.KeyReader`.

        Raises:
            NotLoadedError: of a layer that is not there.
        """
        self._need(layers)
        return super().read_keys(chunks, layers, prefix)

    def read_queries(
        self, texts: Sequence[np.ndarray], layers: Sequence[int]
    ) -> dict[int, list[torch.Tensor]]:
        """See :class:`~s3_retriever.models.base.QueryReader`.

        Raises:
            NotLoadedError: of a layer that is not there.
        """
        self._need(layers)
        return super().read_queries(texts, layers)

    def judged_by(self, judge: LikelihoodJudge) -> FirstLayers:
        """The same layers with somebody else's likelihoods, so that mode ``hybrid`` can be had.

        Args:
            judge: of the whole model, with the same tokenizer; e.g.
                :class:`~s3_retriever.models.endpoint.EndpointJudge`.
        """
        judged = copy(self)
        judged._judge = judge
        return judged

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.LikelihoodJudge`.

        Raises:
            NotLoadedError: of layers alone, without :meth:`judged_by`.
        """
        if self._judge is None:
            return super().question_log_likelihoods(passages, question)
        return self._judge.question_log_likelihoods(passages, question)

    def _need(self, layers: Sequence[int]) -> None:
        if max(layers) >= self.n_loaded:
            raise self._refusal(f"layer {max(layers)} is asked for")

    def _refusal(self, what: str) -> NotLoadedError:
        return NotLoadedError(
            f"only the first {self.n_loaded} of {self.layout.n_layers} layers of "
            f"{brief(self.name)} are in memory, enough to read documents and to search without "
            f"mode hybrid; {what}: load the whole model"
        )
