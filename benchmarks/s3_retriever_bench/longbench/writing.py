"""Writing an answer, with the time of reading the prompt and of writing told apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from s3_retriever.errors import InputError
from s3_retriever.models.transformers import Prefilled, TransformersModel
from s3_retriever_bench.device import peak_memory, synchronize

__all__ = ["Written", "check_fits", "decode", "write"]


@dataclass(frozen=True)
class Written:
    """An answer and what it cost."""

    text: str
    n_tokens: int
    """Tokens written; the one that ends the model's turn is not counted."""
    prefill_s: float
    """Seconds until the prompt was read."""
    decode_s: float
    """Seconds of the tokens after it."""
    peak_bytes: int
    """Memory above what was in use before (:func:`~s3_retriever_bench.device.peak_memory`)."""


def write(llm: TransformersModel, ids: Sequence[int], max_new_tokens: int) -> Written:
    """Read a prompt whole and answer it by greedy decoding.

    Args:
        llm: the resident model.
        ids: the prompt's token ids.
        max_new_tokens: most tokens to write.

    Raises:
        InputError: prompt and answer do not fit the window.

    Example:
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> prompt = llm.chat_ids([{"role": "user", "content": "Say hello."}])
        >>> 0 < write(llm, prompt, 4).n_tokens <= 4
        True
    """
    check_fits(llm, ids, max_new_tokens)
    with peak_memory(llm.device) as peak:
        started = time.perf_counter()
        read = llm.prefill(ids)
        synchronize(llm.device)
        prefill_s = time.perf_counter() - started
        text, n_tokens, decode_s = decode(llm, read, max_new_tokens)
    return Written(text, n_tokens, prefill_s, decode_s, peak.bytes)


def decode(llm: TransformersModel, read: Prefilled, max_new_tokens: int) -> tuple[str, int, float]:
    """Greedy decoding after a prompt that is read, from a whole or a compressed cache.

    Returns:
        The text, its number of tokens and the seconds it took.
    """
    started = time.perf_counter()
    ids = list(llm.continue_from(read, max_new_tokens=max_new_tokens))
    return llm.decode(ids), len(ids), time.perf_counter() - started


def check_fits(llm: TransformersModel, ids: Sequence[int], max_new_tokens: int) -> None:
    """Refuse a prompt that cannot be answered.

    Raises:
        InputError: it is empty, or it and its answer do not fit the window.
    """
    if not ids:
        raise InputError("the prompt is empty")
    if len(ids) + max_new_tokens > llm.window:
        raise InputError(
            f"a prompt of {len(ids)} tokens and {max_new_tokens} new ones exceed the window of "
            f"{llm.window}"
        )
