"""Tiny GGUF files, written as llama.cpp's converter writes them."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np

from tests.tiny import tiny_tokenizer

_LAYERS, _WIDTH, _INNER, _HEADS, _KV_HEADS, _DIM = 2, 32, 48, 4, 2, 8
NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6

_LETTERS = "▁Helowrd.nti<0x41>"
_MERGED = ["▁w", "or", "He", "ll", "ld", "▁wor", "Hell", "Hello", "▁world", "in", "▁t", "tin"]
_MERGED += ["<0", "<0x", "<0x4", "1>"]  # half of the name of a byte
SENTENCEPIECE = [
    *((piece, CONTROL) for piece in ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")),
    *((f"<0x{byte:02X}>", BYTE) for byte in range(256)),
    *((piece, USER) for piece in ("\n", "\n\n", "\t", "  ", "   ", "<start_of_turn>")),
    *((piece, NORMAL) for piece in _MERGED),
    *((piece, NORMAL) for piece in sorted(set(_LETTERS))),
]
"""Pieces and types in Gemma's order; the score of a normal piece is its place, negated."""


def _write(path: Path, architecture: str, vocabulary: int, add_tokenizer: object) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KV_HEADS)
    writer.add_key_length(_DIM)
    writer.add_value_length(_DIM)
    writer.add_rope_dimension_count(_DIM)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)
    add_tokenizer(writer)  # type: ignore[operator]
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, (0.1 * random.standard_normal(shape)).astype(np.float32))

    norms = ["attn_norm", "ffn_norm"]
    if architecture == "gemma3":
        writer.add_sliding_window(16)
        norms += ["post_attention_norm", "post_ffw_norm"]
    add("token_embd.weight", vocabulary, _WIDTH)
    add("output_norm.weight", _WIDTH)
    for layer in range(_LAYERS):
        for norm in norms:
            add(f"blk.{layer}.{norm}.weight", _WIDTH)
        if architecture == "gemma3":
            add(f"blk.{layer}.attn_q_norm.weight", _DIM)
            add(f"blk.{layer}.attn_k_norm.weight", _DIM)
        add(f"blk.{layer}.attn_q.weight", _HEADS * _DIM, _WIDTH)
        add(f"blk.{layer}.attn_k.weight", _KV_HEADS * _DIM, _WIDTH)
        add(f"blk.{layer}.attn_v.weight", _KV_HEADS * _DIM, _WIDTH)
        add(f"blk.{layer}.attn_output.weight", _WIDTH, _HEADS * _DIM)
        add(f"blk.{layer}.ffn_gate.weight", _INNER, _WIDTH)
        add(f"blk.{layer}.ffn_up.weight", _INNER, _WIDTH)
        add(f"blk.{layer}.ffn_down.weight", _WIDTH, _INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_llama(path: Path) -> Path:
    """A Llama with the tiny byte-level tokenizer."""
    model = json.loads(tiny_tokenizer().backend_tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)

    def add_tokenizer(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(pieces)
        writer.add_token_types([CONTROL if p == "<|end|>" else NORMAL for p in pieces])
        writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)

    return _write(path, "llama", len(pieces), add_tokenizer)


def write_gemma(path: Path) -> Path:
    """A Gemma 3 with a SentencePiece vocabulary."""
    ranks = iter(range(len(SENTENCEPIECE)))
    scores = [-float(next(ranks)) if t == NORMAL else -1000.0 for _, t in SENTENCEPIECE]

    def add_tokenizer(writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([piece for piece, _ in SENTENCEPIECE])
        writer.add_token_scores(scores)
        writer.add_token_types([kind for _, kind in SENTENCEPIECE])
        writer.add_pad_token_id(0)
        writer.add_eos_token_id(1)
        writer.add_bos_token_id(2)
        writer.add_unk_token_id(3)
        writer.add_add_bos_token(True)
        writer.add_add_space_prefix(False)

    return _write(path, "gemma3", len(SENTENCEPIECE), add_tokenizer)
