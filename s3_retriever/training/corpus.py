"""Collecting the key projections that autoencoders are trained on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from s3_retriever.arguments import listed
from s3_retriever.encoding.chunk_reader import ChunkReader
from s3_retriever.encoding.chunks import batches
from s3_retriever.errors import InputError
from s3_retriever.models.base import LanguageModel
from s3_retriever.quoting import brief, why
from s3_retriever.settings import ScanSettings

__all__ = ["collect_keys", "read_corpus"]

logger = logging.getLogger(__name__)

_PIECE = 1 << 20
"""Characters tokenised at once."""


def read_corpus(files: Path | Sequence[Path]) -> str:
    """The text of all ``files``, one after the other.

    Raises:
        InputError: a file is missing, empty as a whole, or no UTF-8.
    """
    texts = []
    for file in map(Path, listed(files, "corpus files")):
        try:
            texts.append(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as e:
            raise InputError(
                f"corpus file {brief(file)} cannot be read as UTF-8 text: {why(e)}"
            ) from e
    text = "\n\n".join(texts)
    if not text.strip():
        raise InputError("the corpus is empty; give files with text")
    return text


def collect_keys(
    llm: LanguageModel,
    text: str,
    sites: Sequence[tuple[int, tuple[int, ...]]],
    folder: Path,
    *,
    prefix: str,
    bos: bool,
    scan: ScanSettings,
    max_tokens: int | None,
    on_tokens: Callable[[int, int], None] = lambda done, total: None,
) -> list[np.ndarray]:
    """Keys of every token of ``text``, on disk, so that a run that stopped need not scan again.

    Args:
        llm: the model.
        text: the corpus.
        sites: pairs of a layer and its key heads.
        folder: where the arrays are written (float16, memory-mapped).
        prefix: read before each chunk and left out, as in a scan.
        bos: whether the beginning-of-text token stands before the prefix.
        scan: sizes of chunks and batches.
        max_tokens: about as many tokens are taken, in chunks spread evenly over the text.
        on_tokens: called with the tokens done and their total.

    Returns:
        One memory-mapped ``(n_tokens, d_in)`` float16 array for each of ``sites``.

    Raises:
        ProfileError: the prefix leaves no room for text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = np.concatenate([llm.tokenize(piece).ids for piece in _pieces(text)])
    reader = ChunkReader(llm, prefix, bos=bos, chunk_tokens=scan.chunk_tokens)
    before = reader.prefix
    chunks = reader.chunks(len(tokens))
    if max_tokens is not None and max_tokens < len(tokens):
        picked = np.linspace(0, len(chunks) - 1, max(1, len(chunks) * max_tokens // len(tokens)))
        chunks = [chunks[int(i)] for i in picked]
    total = sum(end - start for start, end in chunks)
    dim = llm.layout.head_dim
    paths = [folder / f"keys.{layer}.{'-'.join(map(str, heads))}.npy" for layer, heads in sites]
    done_marker = folder / "keys.json"
    names = [path.name for path in paths]
    identity = {
        "model": [llm.name, llm.describe()["dtype"]],
        "tokens": hashlib.sha256(tokens.tobytes()).hexdigest(),
        "prefix": before.tolist(),
        "sizes": [scan.chunk_tokens, scan.batch_tokens, total],
        "arrays": names,
    }
    if done_marker.exists() and json.loads(done_marker.read_text()) == identity:
        logger.info("reusing the keys collected in %s", brief(folder))
        return [np.load(p, mmap_mode="r") for p in paths]
    done_marker.unlink(missing_ok=True)
    for path in paths:
        path.unlink(missing_ok=True)  # who still maps the former keys keeps them

    arrays = [
        np.lib.format.open_memmap(
            path, mode="w+", dtype=np.float16, shape=(total, len(heads) * dim)
        )
        for path, (_, heads) in zip(paths, sites, strict=True)
    ]
    layers = sorted({layer for layer, _ in sites})
    row = 0
    lengths = [len(before) + end - start for start, end in chunks]
    for group in batches(lengths, scan.batch_tokens):
        bounds = [chunks[i] for i in group]
        found = reader.read([tokens[start:end] for start, end in bounds], layers)
        for offset, (start, end) in enumerate(bounds):
            for array, (layer, heads) in zip(arrays, sites, strict=True):
                keys = found[layer][offset][:, list(heads)].flatten(1)
                array[row : row + len(keys)] = keys.float().cpu().numpy()
            row += end - start
        on_tokens(row, total)
    for array in arrays:
        array.flush()
    done_marker.write_text(json.dumps(identity))
    return [np.load(p, mmap_mode="r") for p in paths]


def _pieces(text: str) -> Iterator[str]:
    """Cut ``text`` at line ends into pieces the tokenizer takes in one go."""
    start = 0
    while start < len(text):
        end = text.rfind("\n", start, start + _PIECE) + 1 if len(text) - start > _PIECE else 0
        end = end or start + _PIECE
        yield text[start:end]
        start = end
