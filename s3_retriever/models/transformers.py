"""The resident language model: one copy of the weights, used for reading and for answering."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor

from s3_retriever.errors import InputError, ModelError
from s3_retriever.models.families import AttentionLayout, layout_of
from s3_retriever.models.hooks import Projections, decoder_layers, tap
from s3_retriever.models.query_likelihood import question_log_likelihoods
from s3_retriever.models.weights import find_weights, quiet_transformers
from s3_retriever.text import check_text
from s3_retriever.types import Tokens

__all__ = ["PieceStream", "Prefilled", "TransformersModel", "best_device", "best_dtype"]

logger = logging.getLogger(__name__)

_PLACE = "\ue000{}\ue001"
_PLACES = re.compile("\ue000(\\d+)\ue001")

_SAMPLED = 1 << 16

_HALF = "\N{REPLACEMENT CHARACTER}"
"""What the bytes of an unfinished character decode to."""


class Prefilled(NamedTuple):
    """What reading a prompt leaves behind."""

    logits: Tensor
    """``(vocabulary,)`` after the last token, in the model's dtype."""
    cache: Any
    """Keys and values of each layer, a ``Cache`` of :mod:`transformers`."""
    n_tokens: int
    """Length of the prompt."""


class TransformersModel:
    """A causal language model and its tokenizer, held once per process.

    Everything that runs the model takes ``lock``, so one object serves many threads.

    Example:
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> llm.tokenize("Hello world.").starts.tolist()
        [0, 5, 11]
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        """Wrap a model and tokenizer of :mod:`transformers` that are already in memory.

        Raises:
            ModelError: the family is unknown, or the tokenizer gives no character offsets.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"the tokenizer of {name} gives no character offsets; a fast tokenizer is needed"
            )
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.layout: AttentionLayout = layout_of(model.config.get_text_config())
        self.lock = threading.RLock()
        self._plain_tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._plain_tokenizer.no_truncation()
        self._plain_tokenizer.no_padding()
        self._plain_tokenizer.encode_special_tokens = True

    @classmethod
    def load(
        cls,
        model: str,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> TransformersModel:
        """Load a hub id, a local folder or a ``.gguf`` file.

        Args:
            model: where the weights are (see :func:`~s3_retriever.models.weights.find_weights`).
            revision: a hub revision.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware computes with it, else float32.

        Raises:
            ModelError: the weights cannot be found or read, the family is unknown, or the device
                cannot be used.
        """
        import transformers

        folder = find_weights(model, revision=revision)
        chosen = _usable(device) if device is not None else best_device()
        with quiet_transformers():
            try:
                config = transformers.AutoConfig.from_pretrained(folder)
                layout_of(config.get_text_config())  # before gigabytes are read
                tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
                loaded = transformers.AutoModelForCausalLM.from_pretrained(
                    folder, dtype=dtype or best_dtype(chosen), use_safetensors=True
                )
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as e:
                raise ModelError(f"{folder} cannot be loaded as a language model: {e}") from e
        module: Any = loaded  # transformers' annotation of .to() does not type-check
        return cls(module.to(chosen), tokenizer, model)

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

    def tokenizer_hash(self) -> str:
        """A digest of the vocabulary: two tokenizers with the same one number tokens alike.

        Tokens beyond the model's embedding are left out: some releases of transformers put names
        of their own there.
        """
        size = self.model.config.get_text_config().vocab_size
        known = sorted((t, n) for t, n in self.tokenizer.get_vocab().items() if n < size)
        vocabulary = json.dumps(known, ensure_ascii=False)
        return hashlib.sha256(vocabulary.encode("utf-8", "surrogatepass")).hexdigest()

    def tokenize(self, text: str) -> Tokens:
        """Tokens of ``text`` with character offsets; a special token's name in it is plain text.

        Raises:
            InputError: the text holds a lone surrogate, which no encoding can store.
        """
        check_text(text)
        encoded = self._plain_tokenizer.encode(text, add_special_tokens=False)
        offsets = np.asarray(encoded.offsets, dtype=np.uint32).reshape(-1, 2)
        ids = np.asarray(encoded.ids, dtype=np.int32)
        return Tokens(ids, offsets[:, 0].copy(), offsets[:, 1].copy())

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """Token ids of ``text``, behind the model's beginning-of-text token if ``bos``.

        Raises:
            ModelError: there is no such token.
        """
        ids = self.tokenize(text).ids
        if not bos:
            return ids
        if self.tokenizer.bos_token_id is None:
            raise ModelError(f"{self.name} has no beginning-of-text token; train with --no-bos")
        return np.append(np.int32(self.tokenizer.bos_token_id), ids)

    @property
    def adds_bos(self) -> bool:
        """Whether the tokenizer puts a beginning-of-text token before a text of its own accord."""
        first: list[int] = self.tokenizer("")["input_ids"][:1]
        return bool(first) and first[0] == self.tokenizer.bos_token_id

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of token ids without the special ones, every space as it was."""
        text: str = self.tokenizer.decode(
            list(map(int, ids)), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def count_tokens(self, text: str) -> int:
        """Number of tokens of ``text``.

        Raises:
            InputError: the text holds a lone surrogate.
        """
        check_text(text)
        return len(self._plain_tokenizer.encode(text, add_special_tokens=False))

    def project(
        self,
        chunks: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        with_keys: bool = True,
        with_queries: bool = False,
    ) -> Projections:
        """Queries and keys of several chunks in one forward pass that ends at the last layer asked.

        Args:
            chunks: token ids, one array a chunk; shorter ones are padded on the right.
            layers: the layers to read.
            with_keys: collect keys.
            with_queries: collect queries.
        """
        width = max(len(chunk) for chunk in chunks)
        batch = np.zeros((len(chunks), width), dtype=np.int64)
        for row, chunk in zip(batch, chunks, strict=True):
            row[: len(chunk)] = chunk
        input_ids = torch.from_numpy(batch).to(self.device)
        with self.lock:
            return tap(
                self.model,
                self.layout,
                input_ids,
                layers,
                with_keys=with_keys,
                with_queries=with_queries,
            )

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> dict[int, list[Tensor]]:
        """See :class:`~s3_retriever.models.base.KeyReader`."""
        behind = [np.concatenate([prefix, chunk]) for chunk in chunks]
        found = self.project(behind, layers).keys
        return {
            layer: [row[len(prefix) : len(ids)] for row, ids in zip(keys, behind, strict=True)]
            for layer, keys in found.items()
        }

    def read_queries(
        self, texts: Sequence[np.ndarray], layers: Sequence[int]
    ) -> dict[int, list[Tensor]]:
        """See :class:`~s3_retriever.models.base.QueryReader`."""
        found = self.project(texts, layers, with_keys=False, with_queries=True).queries
        return {
            layer: [row[: len(ids)] for row, ids in zip(queries, texts, strict=True)]
            for layer, queries in found.items()
        }

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.LikelihoodJudge`."""
        return question_log_likelihoods(self, passages, question)

    def weights_digest(self, last_layer: int) -> str:
        """SHA-256 that tells these weights, up to a layer, from those of any other fine-tune.

        Of each tensor at most 65,536 numbers at equal distances count, as bfloat16, so that it is
        the same in any dtype the weights are loaded in and costs a moment.

        Args:
            last_layer: layers after it decide no code and are left out.
        """
        digest = hashlib.sha256()
        decoder = self.model.get_decoder()
        parts = [decoder.get_input_embeddings(), *decoder_layers(self.model)[: last_layer + 1]]
        for number, part in enumerate(parts):
            for name, tensor in part.named_parameters():
                flat = tensor.detach().flatten()
                sample = flat[:: max(1, len(flat) // _SAMPLED)].to(torch.bfloat16).cpu()
                digest.update(f"{number}.{name}:{len(flat)}".encode())
                digest.update(sample.view(torch.int16).numpy().tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, str | int]:
        """``device``, ``dtype`` and ``weight_bytes`` (shared ones counted once)."""
        return {
            "device": str(self.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "weight_bytes": self.weight_bytes,
        }

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of a conversation in the model's own chat template.

        A model without a template (a base model) gets the plain texts between empty lines, after
        the token it expects first.

        Raises:
            InputError: the template refuses the roles or their order, or a text is unusable.
        """
        if not getattr(self.tokenizer, "chat_template", None):
            first = self.tokenizer("")["input_ids"][:1]
            text = "\n\n".join(m["content"] for m in messages) + "\n\n"
            return [*first, *self.tokenize(text).ids.tolist()]
        # the template sees numbers in place of the texts, so that a text that spells a special
        # token ("<|im_end|>") cannot open a turn of its own
        numbered = [{**m, "content": _PLACE.format(n)} for n, m in enumerate(messages)]
        try:
            text = self.tokenizer.apply_chat_template(
                numbered, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as e:
            raise InputError(f"the chat template of {self.name} refuses this: {e}") from e
        ids: list[int] = []
        for n, part in enumerate(_PLACES.split(text)):
            if n % 2:
                ids += self.tokenize(messages[int(part)]["content"]).ids.tolist()
            else:
                ids += self.tokenizer(part, add_special_tokens=False)["input_ids"]
        return ids

    def stream(
        self, input_ids: Sequence[int], *, max_new_tokens: int = 256, temperature: float = 0.0
    ) -> PieceStream:
        """Generate text after ``input_ids``, piece by piece; no piece ends inside a character.

        Args:
            input_ids: the prompt, e.g. from :meth:`chat_ids`.
            max_new_tokens: most tokens to generate.
            temperature: 0 is greedy.

        Raises:
            InputError: prompt and answer do not fit the window; with the first piece.
        """
        return PieceStream(self._write(input_ids, max_new_tokens, temperature))

    def _write(
        self, input_ids: Sequence[int], max_new_tokens: int, temperature: float
    ) -> Iterator[tuple[str, int]]:
        """Pieces, each with the number of tokens so far; "" while a character is incomplete."""
        if len(input_ids) + max_new_tokens > self.window:
            raise InputError(
                f"a prompt of {len(input_ids)} tokens and {max_new_tokens} new ones exceed the "
                f"window of {self.window}; lower max_tokens or max_new_tokens"
            )
        ids: list[int] = []
        shown = text = ""
        for token in self._sample(input_ids, max_new_tokens, temperature):
            ids.append(token)
            text = self.decode(ids)
            piece = ""
            if len(text) > len(shown) and not text.endswith(_HALF):  # else wait for the rest
                piece, shown = text[len(shown) :], text
            yield piece, len(ids)
        rest = text.rstrip(_HALF)[len(shown) :]  # cut off inside a character
        if rest:
            yield rest, len(ids)

    def _sample(
        self, input_ids: Sequence[int], max_new_tokens: int, temperature: float
    ) -> Iterator[int]:
        yield from self.continue_from(
            self.prefill(input_ids), max_new_tokens=max_new_tokens, temperature=temperature
        )

    def prefill(self, input_ids: Sequence[int]) -> Prefilled:
        """Read a prompt in one forward pass of the whole model.

        Args:
            input_ids: the prompt, at least one token.
        """
        with self.lock, torch.inference_mode():
            out = self.model(
                input_ids=torch.tensor([list(input_ids)], device=self.device),
                use_cache=True,
                logits_to_keep=1,
            )
        return Prefilled(out.logits[0, -1], out.past_key_values, len(input_ids))

    def continue_from(
        self, read: Prefilled, *, max_new_tokens: int, temperature: float = 0.0
    ) -> Iterator[int]:
        """Token ids after a prompt, up to the one that ends the model's turn, which is left out.

        The cache of ``read`` grows with every token. It may hold less than the prompt (a
        compressed cache): positions count on from the prompt's end all the same.
        """
        stop = self._stop_ids()
        logits = read.logits
        for position in range(read.n_tokens, read.n_tokens + max_new_tokens):
            token = _choose(logits, temperature)
            if token in stop:
                return
            yield token
            if position + 1 == read.n_tokens + max_new_tokens:
                return
            at = torch.tensor([position], device=self.device)
            with self.lock, torch.inference_mode():
                logits = self.model(
                    input_ids=torch.tensor([[token]], device=self.device),
                    past_key_values=read.cache,
                    position_ids=at[None],
                    cache_position=at,  # else counted from the cache's first layer
                    use_cache=True,
                ).logits[0, -1]

    def _stop_ids(self) -> set[int]:
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self.tokenizer.eos_token_id] if i is not None}


class PieceStream:
    """Text that is being generated: an iterator over its pieces, which counts tokens.

    Example:
        >>> stream = PieceStream(iter([("Blue", 1), ("", 2), ("!", 3)]))
        >>> list(stream), stream.n_tokens
        (['Blue', '!'], 3)
    """

    def __init__(self, written: Iterator[tuple[str, int]]) -> None:
        """Take pieces, each with the number of tokens generated up to its end."""
        self._written = written
        self.n_tokens = 0
        """Tokens generated so far; the one that ends the model's turn is not counted."""

    def __iter__(self) -> PieceStream:
        return self

    def __next__(self) -> str:
        for piece, n_tokens in self._written:
            self.n_tokens = n_tokens
            if piece:
                return piece
        raise StopIteration


def _choose(logits: Tensor, temperature: float) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits.float() / temperature).softmax(-1), 1))


def _usable(device: str | torch.device) -> torch.device:
    """Make sure that tensors can be put on ``device``, before anything is loaded."""
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as e:
        reason = str(e).splitlines()[0]
        raise ModelError(
            f"device {str(device)!r} cannot be used: {reason}; try cpu, or leave it out"
        ) from e
    return chosen


def best_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, else float32 (it is slower where emulated)."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.backends.mkldnn.is_available() and (
            torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
    return torch.bfloat16 if fast else torch.float32
