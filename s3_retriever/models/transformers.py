"""The resident language model: one copy of the weights, used for reading and for answering."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from s3_retriever.errors import InputError
from s3_retriever.models.chat_template import chat_ids
from s3_retriever.models.decoding import Decoder, Prefilled
from s3_retriever.models.families import layout_of
from s3_retriever.models.loading import load_pretrained
from s3_retriever.models.prefix_cache import DEFAULT_BYTES, PrefixCache
from s3_retriever.models.query_likelihood import Reading, read_together
from s3_retriever.models.repetition import UntilRepeating
from s3_retriever.models.resident import ResidentReader
from s3_retriever.models.rounds import Rounds
from s3_retriever.models.streaming import PieceStream, text_pieces
from s3_retriever.models.weights import bound_model
from s3_retriever.quoting import quoted

__all__ = ["TransformersModel"]

_READINGS = 8
"""Questions whose readings share passes on an accelerator. On a CPU it is one at a time: eight
together took 1.0 times the processor time of eight alone, and the first had to wait for all."""


class TransformersModel(ResidentReader):
    """A causal language model and its tokenizer, held once per process.

    It puts together what does the work, a module each: :mod:`~s3_retriever.models.loading`,
    :mod:`~s3_retriever.models.resident` (tokens and reading),
    :mod:`~s3_retriever.models.query_likelihood`, :mod:`~s3_retriever.models.chat_template`,
    :mod:`~s3_retriever.models.decoding` and :mod:`~s3_retriever.models.streaming`.
    Everything that runs the model takes ``lock``, so one object serves many threads.

    Example:
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> llm.tokenize("Hello world.").starts.tolist()
        [0, 5, 11]
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        *,
        likelihood_cache_bytes: int = DEFAULT_BYTES,
    ) -> None:
        """Wrap a model and tokenizer of :mod:`transformers` that are already in memory.

        Args:
            model: a causal language model.
            tokenizer: its tokenizer.
            name: where the weights came from.
            likelihood_cache_bytes: most memory for keys and values of passages that were judged,
                on the model's device; 0 keeps none. If the weights are changed afterwards,
                ``likelihood_cache.clear()``.

        Raises:
            ModelError: the family is unknown, or the tokenizer gives no character offsets.
        """
        super().__init__(model, tokenizer, name, layout_of(model.config.get_text_config()))
        self.likelihood_cache = PrefixCache(likelihood_cache_bytes)
        self._readings: Rounds[Reading, np.ndarray] = Rounds(
            1 if self.device.type == "cpu" else _READINGS
        )
        self._decoder = Decoder(model, tokenizer, self.lock)

    def __repr__(self) -> str:
        """Where the weights came from and where they are."""
        kind = str(self.model.dtype).removeprefix("torch.")
        return f"TransformersModel({quoted(self.name)}, device={self.device}, dtype={kind})"

    @classmethod
    def load(
        cls,
        model: str,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        likelihood_cache_bytes: int = DEFAULT_BYTES,
    ) -> TransformersModel:
        """Load a hub id, a local folder or a ``.gguf`` file.

        Args:
            model: where the weights are (see :func:`~s3_retriever.models.weights.find_weights`).
            revision: a hub revision.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware computes with it, else float32.
            likelihood_cache_bytes: most memory for keys and values of passages that were judged
                (:class:`~s3_retriever.models.prefix_cache.PrefixCache`); 0 keeps none.

        Raises:
            ModelError: the weights cannot be found or read, the family is unknown, or the device
                cannot be used.
        """
        model = bound_model(model)
        loaded, tokenizer = load_pretrained(model, revision=revision, device=device, dtype=dtype)
        return cls(loaded, tokenizer, model, likelihood_cache_bytes=likelihood_cache_bytes)

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.LikelihoodJudge`."""
        return self._readings.ask(
            Reading(passages, question), lambda readings: read_together(self, readings)
        )

    # Answering

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """See :class:`~s3_retriever.models.base.Chat`.

        A model without a template (a base model) gets the plain texts between empty lines, after
        the token it expects first.
        """
        return chat_ids(self.tokenizer, lambda text: self.tokenize(text).ids, self.name, messages)

    def stream(
        self,
        input_ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> PieceStream:
        """See :class:`~s3_retriever.models.base.Chat`; the prompt is read with the first piece."""
        ids = UntilRepeating(self._generate(input_ids, max_new_tokens, temperature, top_p))
        return PieceStream(text_pieces(ids, self.decode), lambda: ids.repeated)

    def _generate(
        self, input_ids: Sequence[int], max_new_tokens: int, temperature: float, top_p: float
    ) -> Iterator[int]:
        if len(input_ids) + max_new_tokens > self.window:
            raise InputError(
                f"a prompt of {len(input_ids)} tokens and {max_new_tokens} new ones exceed the "
                f"window of {self.window}; lower max_tokens or max_new_tokens"
            )
        yield from self._decoder.continue_from(
            self.prefill(input_ids),
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
        )

    def prefill(self, input_ids: Sequence[int]) -> Prefilled:
        """See :meth:`Decoder.prefill <s3_retriever.models.decoding.Decoder.prefill>`."""
        return self._decoder.prefill(input_ids)

    def continue_from(
        self, read: Prefilled, *, max_new_tokens: int, temperature: float = 0.0
    ) -> Iterator[int]:
        """See :meth:`Decoder.continue_from <s3_retriever.models.decoding.Decoder>`."""
        return self._decoder.continue_from(
            read, max_new_tokens=max_new_tokens, temperature=temperature
        )

    def stop_ids(self) -> set[int]:
        """The tokens that end the model's turn."""
        return self._decoder.stop_ids()
