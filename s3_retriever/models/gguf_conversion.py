"""A GGUF file as a folder in transformers' format, its tokenizer mended where it is misread."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from s3_retriever.errors import ModelError
from s3_retriever.models.gguf_header import check_gguf
from s3_retriever.models.loading import UNREADABLE
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.quoting import brief, why

__all__ = ["convert_gguf"]

_KEPT = ("bos_token", "eos_token", "unk_token", "pad_token", "model_max_length")


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write the model of ``gguf`` to ``folder``: bfloat16 safetensors and a fast tokenizer.

    Args:
        gguf: a file that llama.cpp's converter wrote, quantised or not.
        folder: made here; must not exist.

    Raises:
        ModelError: it is damaged, or of a kind that transformers does not read.
    """
    import transformers
    from tokenizers import decoders, models, pre_tokenizers

    check_gguf(gguf)
    arguments: dict[str, object] = {"gguf_file": gguf.name, "trust_remote_code": False}
    if hasattr(transformers, "GgufConfig"):  # transformers after 5.2 keeps GGUF quantised
        arguments["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with quiet_transformers():
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                gguf.parent, gguf_file=gguf.name, trust_remote_code=False
            )
            model = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, dtype=torch.float32, **arguments
            )
        except UNREADABLE as e:
            raise ModelError(
                f"{brief(gguf)} is not a GGUF model that transformers reads: {why(e)}"
            ) from e
        backend = tokenizer.backend_tokenizer
        if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
            # the generic Llama decoder put there turns a real "▁" of the text into a space
            backend.decoder = decoders.ByteLevel()
        elif isinstance(backend.model, models.Unigram) or model.config.model_type.startswith(
            "gemma"
        ):
            _merge_by_score(tokenizer, gguf)
        model.bfloat16().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        _say_no_class(folder / "tokenizer_config.json")


def _say_no_class(file: Path) -> None:
    """Leave in a tokenizer's configuration what no release reads otherwise than another.

    The class that is named there, and its options, make another tokenizer of the same
    ``tokenizer.json`` in some releases.
    """
    said = json.loads(file.read_text(encoding="utf-8"))
    kept = {name: value for name, value in said.items() if name in _KEPT and value is not None}
    plain = {"tokenizer_class": "PreTrainedTokenizerFast", **kept}
    file.write_text(json.dumps(plain, ensure_ascii=False, indent=2), encoding="utf-8")


def _merge_by_score(tokenizer: Any, gguf: Path) -> None:
    """Make Gemma's tokenizer the byte-pair one that its SentencePiece scores describe.

    transformers (5.2) takes the scores for those of a unigram model, which cuts words elsewhere,
    and drops them when the tokenizer is saved, which leaves single characters; 5.24 takes the
    names of single bytes for pieces of text.
    """
    from gguf import GGUFReader
    from gguf import TokenType as Kind
    from tokenizers import AddedToken, models

    fields = GGUFReader(gguf).fields
    kinds = fields["tokenizer.ggml.token_type"].contents()
    scores = fields["tokenizer.ggml.scores"].contents()
    ids: dict[str, int] = {}
    for number, piece in enumerate(fields["tokenizer.ggml.tokens"].contents()):
        ids[piece if piece.strip(" ") else "▁" * len(piece)] = number
    ranked = [  # the user's own pieces (runs of spaces) come before all others
        (0.0 if kinds[i] == Kind.USER_DEFINED else scores[i], piece)
        for piece, i in ids.items()
        if kinds[i] in (Kind.NORMAL, Kind.USER_DEFINED)
    ]
    merges = []
    for _, piece in sorted(ranked, key=lambda entry: -entry[0]):
        cuts = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        known = [cut for cut in cuts if cut[0] in ids and cut[1] in ids]
        merges += sorted(known, key=lambda cut: (ids[cut[0]], ids[cut[1]]))
    tokenizer.backend_tokenizer.model = models.BPE(
        ids, merges, fuse_unk=True, unk_token=tokenizer.unk_token, byte_fallback=True
    )
    whole = {Kind.CONTROL: True, Kind.USER_DEFINED: False}
    tokenizer.add_tokens(
        [
            AddedToken(piece, normalized=False, special=whole[kinds[i]])
            for piece, i in ids.items()
            if kinds[i] in whole
        ]
    )
    begins = fields.get("tokenizer.ggml.add_bos_token")
    tokenizer.add_bos_token = bool(begins and begins.contents())
