"""Reading and answering where the model already runs: an engine of vLLM (extra ``vllm``).

Keys and queries are taken as they leave the projection of their layer, before the rotary embedding
(:mod:`~s3_retriever.models.vllm_worker`); the layers after the last that is read are left out of
that step. Answers are vLLM's own, with its continuous batching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from s3_retriever.errors import InputError, ModelError
from s3_retriever.models.chat_template import chat_ids
from s3_retriever.models.families import AttentionLayout, layout_of
from s3_retriever.models.first_layers import FirstLayers
from s3_retriever.models.query_likelihood import PREFIX, SUFFIX
from s3_retriever.models.repetition import UntilRepeating
from s3_retriever.models.streaming import PieceStream, text_pieces
from s3_retriever.models.tokenizing import TextTokenizer
from s3_retriever.models.vllm_requests import Requests
from s3_retriever.models.vllm_worker import collect, collect_log_likelihoods, unhook, watch
from s3_retriever.quoting import brief

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VllmModel"]


class VllmModel(TextTokenizer):
    """A model that an engine of vLLM holds: a language model without a second copy of weights.

    The engine has to be made with ``enforce_eager=True`` (a compiled graph passes no hook by), on
    one device (no tensor or pipeline parallelism), and, unless ``VLLM_ENABLE_V1_MULTIPROCESSING=0``
    keeps it in this process, with ``VLLM_ALLOW_INSECURE_SERIALIZATION=1``: hooks reach another
    process as functions. Nobody else may use the ``LLM`` while a method runs.

    Example:
        >>> from vllm import LLM  # doctest: +SKIP
        >>> llm = LLM("Qwen/Qwen2.5-Coder-0.5B-Instruct", enforce_eager=True)  # doctest: +SKIP
        >>> profile = Profile.load("qwen2.5-coder-0.5b-instruct")  # doctest: +SKIP
        >>> engine = Engine(VllmModel(llm), profile, "my-index")  # doctest: +SKIP
    """

    def __init__(self, llm: Any, name: str | None = None) -> None:
        """Take an engine that is there.

        Args:
            llm: a ``vllm.LLM``.
            name: hub id or folder of the weights; by default the one that ``llm`` was made with.

        Raises:
            ModelError: the family is unknown, the engine is compiled or spread over devices, or the
                tokenizer gives no character offsets.
        """
        self._llm = llm
        self._config = llm.llm_engine.vllm_config
        model = self._config.model_config
        self.name = name or model.model
        config = model.hf_text_config
        self.layout: AttentionLayout = layout_of(config)
        if not model.enforce_eager:
            raise ModelError(
                f"vLLM runs {brief(self.name)} as a compiled graph, which cannot be read from; "
                "make it with LLM(..., enforce_eager=True)"
            )
        devices = self._config.parallel_config.world_size
        if devices != 1:
            raise ModelError(
                f"vLLM spreads {brief(self.name)} over {devices} devices; "
                "reading takes one (tensor_parallel_size=1, pipeline_parallel_size=1)"
            )
        self._tokens = llm.get_tokenizer()
        super().__init__(self._tokens, self.name, vocabulary=config.vocab_size)
        self._requests = Requests(llm.llm_engine)
        self._digests: dict[int, str] = {}

    def __repr__(self) -> str:
        """Where the weights came from."""
        return f"VllmModel({self.name!r})"

    # What it is

    @property
    def window(self) -> int:
        """Most tokens the engine takes at once.

        One less than ``max_model_len``: vLLM keeps room for a token to write where it only reads.
        """
        return int(self._config.model_config.max_model_len) - 1

    def describe(self) -> dict[str, str | int]:
        """See :class:`~s3_retriever.models.base.LanguageModel`; the weights are vLLM's to count."""
        dtype = str(self._config.model_config.dtype).removeprefix("torch.")
        return {"device": "cpu", "dtype": dtype, "weight_bytes": 0}

    def weights_digest(self, last_layer: int) -> str:
        """That of the weights' files, which is the one of other sources; read once, for a moment.

        vLLM keeps matrices in a layout of its own.

        Raises:
            ModelError: they cannot be found or read.
        """
        if last_layer not in self._digests:
            revision = self._config.model_config.revision
            first = FirstLayers.load(self.name, last_layer + 1, revision=revision, device="cpu")
            self._digests[last_layer] = first.weights_digest(last_layer)
        return self._digests[last_layer]

    # Reading

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> Mapping[int, Sequence[Tensor]]:
        """See :class:`~s3_retriever.models.base.KeyReader`."""
        found = self._project(
            [np.concatenate([prefix, chunk]) for chunk in chunks], layers, with_keys=True
        )
        return {
            layer: [keys[len(prefix) :] for keys in by_chunk] for layer, by_chunk in found.items()
        }

    def read_queries(
        self, texts: Sequence[np.ndarray], layers: Sequence[int]
    ) -> Mapping[int, Sequence[Tensor]]:
        """See :class:`~s3_retriever.models.base.QueryReader`."""
        return self._project(texts, layers, with_keys=False)

    def _project(
        self, texts: Sequence[np.ndarray], layers: Sequence[int], *, with_keys: bool
    ) -> dict[int, list[Tensor]]:
        layout = self.layout
        found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        for group in self._steps(texts):
            read = partial(
                collect,
                texts=group,
                head_dim=layout.head_dim,
                n_heads=layout.n_heads,
                n_kv_heads=layout.n_kv_heads,
                with_keys=with_keys,
            )
            # layers left out leave nothing of use in the cache, where nobody else may find it
            for layer, states in self._watched(
                group, sorted(found), read, salt=uuid4().hex
            ).items():
                found[layer] += states
        return found

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.LikelihoodJudge`.

        A passage that was judged before comes out of vLLM's prefix cache.
        """
        prefix, suffix = self.prefix_ids(PREFIX, bos=self.adds_bos), self.tokenize(SUFFIX).ids
        asked = self.tokenize(" " + question).ids
        if not len(asked):
            return np.empty((len(passages), 0), dtype=np.float32)
        texts = [np.concatenate([prefix, passage, suffix, asked]) for passage in passages]
        values: list[np.ndarray] = []
        judge = partial(collect_log_likelihoods, n_asked=len(asked))
        for group in self._steps(texts):
            found = self._watched(group, [], partial(judge, texts=group), salt=None)
            again = [n for n, value in enumerate(found) if value is None]
            if again:  # the question was asked before, and came out of the cache with its passage
                rest = [group[n] for n in again]
                read = self._watched(rest, [], partial(judge, texts=rest), salt=uuid4().hex)
                for n, value in zip(again, read, strict=True):
                    found[n] = value
            values += found
        return np.array(values, dtype=np.float32).reshape(len(passages), len(asked))

    def _watched(
        self, texts: Sequence[np.ndarray], layers: Sequence[int], read: Any, *, salt: str | None
    ) -> Any:
        """What ``read`` makes of a model by which ``texts`` passed."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, detokenize=False)
        with self._requests.alone():
            self._llm.apply_model(partial(watch, layers=list(layers)))
            try:
                self._requests.read([ids.tolist() for ids in texts], params, salt=salt)
            except BaseException:
                self._llm.apply_model(_give_up)
                raise
            (found,) = self._llm.apply_model(read)
        return found

    def _steps(self, texts: Sequence[np.ndarray]) -> Iterator[Sequence[np.ndarray]]:
        """Texts that one step of the engine takes together, none split beside another."""
        most = self._config.scheduler_config.max_num_batched_tokens
        count = self._config.scheduler_config.max_num_seqs
        at = 0
        while at < len(texts):
            sums = accumulate(len(ids) for ids in texts[at : at + count])
            n = max(1, sum(total <= most for total in sums))
            yield texts[at : at + n]
            at += n

    # Answering

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """See :class:`~s3_retriever.models.base.Chat`."""
        return chat_ids(self._tokens, lambda text: self.tokenize(text).ids, self.name, messages)

    def stream(
        self,
        input_ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> PieceStream:
        """See :class:`~s3_retriever.models.base.Chat`; streams of several threads share steps."""
        ids = UntilRepeating(self._generate(input_ids, max_new_tokens, temperature, top_p))
        return PieceStream(text_pieces(ids, self.decode), lambda: ids.repeated)

    def _generate(
        self, input_ids: Sequence[int], max_new_tokens: int, temperature: float, top_p: float
    ) -> Iterator[int]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if len(input_ids) + max_new_tokens > self.window:
            raise InputError(
                f"a prompt of {len(input_ids)} tokens and {max_new_tokens} new ones exceed the "
                f"window of {self.window}; lower max_tokens or max_new_tokens"
            )
        params = SamplingParams(
            max_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        stop = self._stop_ids()  # vLLM ends there, too, and gives the token
        for token in self._requests.tokens(input_ids, params):
            if token in stop:
                return
            yield token

    def _stop_ids(self) -> set[int]:
        """The tokens that end the model's turn."""
        configured = self._config.model_config.try_get_generation_config().get("eos_token_id")
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self._tokens.eos_token_id] if i is not None}


def _give_up(model: Any) -> None:
    unhook(model)  # what was read until then stays where it is
