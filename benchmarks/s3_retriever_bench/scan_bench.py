"""The scan against the model's own prefill, on the same tokens, in one run.

Prefill is what any use of the document by the plain model costs at least: all layers, a KV cache,
the logits of the last position. Both read chunks of the same size, so neither pays for a longer
context; runs alternate, and medians are compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.encoding.chunk_reader import ChunkReader
from s3_retriever.encoding.chunks import chunks_of
from s3_retriever.encoding.codes import code_batch
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.types import Document
from s3_retriever_bench.device import peak_memory, synchronize

__all__ = ["bench_scan"]


def bench_scan(
    llm: TransformersModel,
    profile: Profile,
    text: str,
    *,
    tokens: int = 8192,
    repeats: int = 3,
    lengths: Sequence[int] = (4096, 16384, 65536),
    settings: ScanSettings | None = None,
) -> dict[str, Any]:
    """Measure speed and peak memory of the scan.

    Args:
        llm: the resident model.
        profile: what is read and coded.
        text: any prose; repeated until it is long enough.
        tokens: length of the document that is timed.
        repeats: timed runs of each, after one that warms up.
        lengths: document lengths in tokens for the memory measurement.
        settings: chunk and batch sizes.

    Returns:
        ``scan_tokens_per_s``, ``prefill_tokens_per_s`` (medians), ``ratio`` (first over second),
        ``coding_share`` (what the autoencoders and the copy take of a scan's seconds),
        ``peak_memory_bytes`` (by document length; above what was allocated before), ``memory``
        (what is measured), ``device``, ``profile``, ``last_layer``, ``n_layers`` and the settings.

    Raises:
        InputError: a length below 1.
    """
    if min(tokens, repeats, *lengths) < 1:
        raise InputError("tokens, repeats and lengths must be at least 1")
    settings = settings or ScanSettings()
    scanner = Scanner(llm, profile, settings)
    document = _document(llm, text, tokens)
    n = len(llm.tokenize(document.text))
    scans, prefills, shares = [], [], []
    for run in range(repeats + 1):
        scan_seconds = _timed(llm, lambda: list(scanner.scan([document])))
        prefill_seconds = _timed(llm, lambda: _prefill(llm, document, settings))
        coding_seconds = _coding_seconds(llm, profile, document, settings)
        if run:  # the first warms up
            shares.append(coding_seconds / scan_seconds)
            scans.append(n / scan_seconds)
            prefills.append(n / prefill_seconds)
    peaks = {}
    for length in lengths:
        longer = _document(llm, text, length)
        with peak_memory(llm.device) as peak:
            for _ in scanner.scan([longer]):
                pass
        peaks[str(length)] = peak.bytes
    scan, prefill = statistics.median(scans), statistics.median(prefills)
    return {
        "scan_tokens_per_s": round(scan, 1),
        "prefill_tokens_per_s": round(prefill, 1),
        "ratio": round(scan / prefill, 3),
        "coding_share": round(statistics.median(shares), 4),
        "runs": {
            "scan": [round(v, 1) for v in scans],
            "prefill": [round(v, 1) for v in prefills],
        },
        "peak_memory_bytes": peaks,
        "memory": "allocated on the device"
        if llm.device.type == "cuda"
        else "resident set of the process",
        "device": device_name(llm.device),
        "dtype": str(llm.model.dtype).removeprefix("torch."),
        "profile": profile.card.name,
        "last_layer": max(profile.layers),
        "n_layers": llm.layout.n_layers,
        "tokens": n,
        "chunk_tokens": settings.chunk_tokens,
        "batch_tokens": settings.batch_tokens,
        "repeats": repeats,
    }


def device_name(device: torch.device) -> str:
    """The GPU's name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def _document(llm: TransformersModel, text: str, tokens: int) -> Document:
    """A text of ``tokens`` tokens, cut from repetitions of ``text``."""
    repeated = text
    while len(found := llm.tokenize(repeated)) < tokens:
        repeated += "\n\n" + repeated
    return Document("bench", repeated[: int(found.ends[tokens - 1])])


def _coding_seconds(
    llm: TransformersModel, profile: Profile, document: Document, settings: ScanSettings
) -> float:
    """Seconds that the codes of a document take, without the passes that read its keys."""
    card = profile.card
    reader = ChunkReader(llm, card.chunk_prefix, bos=card.bos, chunk_tokens=settings.chunk_tokens)
    ids = llm.tokenize(document.text).ids
    per_batch = max(1, settings.batch_tokens // (reader.chunk_tokens + len(reader.prefix)))
    seconds = 0.0
    bounds = reader.chunks(len(ids))
    for first in range(0, len(bounds), per_batch):
        chunks = [ids[start:end] for start, end in bounds[first : first + per_batch]]
        keys = reader.read(chunks, profile.layers)
        seconds += _timed(llm, partial(_code, profile, keys))
    return seconds


def _code(profile: Profile, keys: Mapping[int, Sequence[Tensor]]) -> None:
    code_batch(profile, keys).take()


def _prefill(llm: TransformersModel, document: Document, settings: ScanSettings) -> None:
    """Read the document with the whole model, chunk by chunk, in the scan's batches."""
    ids = llm.tokenize(document.text).ids
    bounds = list(chunks_of(len(ids), settings.chunk_tokens))
    per_batch = max(1, settings.batch_tokens // settings.chunk_tokens)
    for first in range(0, len(bounds), per_batch):
        chunks = [ids[start:end] for start, end in bounds[first : first + per_batch]]
        width = max(map(len, chunks))
        batch = np.zeros((len(chunks), width), dtype=np.int64)
        for row, chunk in zip(batch, chunks, strict=True):
            row[: len(chunk)] = chunk
        with torch.inference_mode():
            llm.model(
                input_ids=torch.from_numpy(batch).to(llm.device),
                use_cache=True,
                logits_to_keep=1,
            )


def _timed(llm: TransformersModel, work: Any) -> float:
    synchronize(llm.device)
    start = time.perf_counter()
    work()
    synchronize(llm.device)
    return time.perf_counter() - start
