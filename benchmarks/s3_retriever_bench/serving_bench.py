"""Questions a second of a running server, asked by one client and by several at a time.

The server is a process of its own, started as a user starts it. Each client asks its next question
when it has the answer to the last; no question is asked twice. Afterwards the same questions are
asked of an engine alone, and the answers compared.
"""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.text import find_bounds
from s3_retriever.types import Document

__all__ = ["bench_serving", "make_questions"]

_WORDS = 10
"""Words of a sentence that a question is made of."""
_COMPARED = 64
"""Answers that are compared with an engine's alone: the last, of the most clients."""
_START_SECONDS = 300


def make_questions(documents: Sequence[Document]) -> list[str]:
    """Questions that are all different, one a sentence, in an order that mixes documents.

    Example:
        >>> make_questions([Document("a", "The mill was built in 1780 by Anna Berg. It is old.")])
        ['What is known about: The mill was built in 1780 by Anna Berg?']
    """
    by_document = []
    for document in documents:
        sentences = [document.text[a:b] for a, b in find_bounds(document.text).sentences]
        words = (sentence.split()[:_WORDS] for sentence in sentences)
        by_document.append([" ".join(w).rstrip(".") for w in words if len(w) >= _WORDS - 1])
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*by_document))
    return [f"What is known about: {text}?" for text in dict.fromkeys(filter(None, mixed))]


@contextmanager
def _server(folder: Path, options: Sequence[str]) -> Iterator[str]:
    """A server of the index in ``folder`` on a free port; its address."""
    command = [sys.executable, "-m", "s3_retriever", "serve", "--index", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", "0", *options], stderr=subprocess.PIPE, text=True
    )
    killer = threading.Timer(_START_SECONDS, process.kill)
    killer.start()
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"http://[^ \"]*:[0-9]+", line):
                killer.cancel()
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield found[0]
                return
        raise InputError("the server did not start")
    finally:
        killer.cancel()
        process.terminate()
        process.wait()


def _load(
    url: str, questions: Iterator[str], clients: int, seconds: float, asked: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """What some clients measured, and the ids of the spans of each question."""
    taking = threading.Lock()
    answers: dict[str, list[str]] = {}
    times: list[float] = []
    refused = 0
    until = time.perf_counter() + seconds

    def ask() -> None:
        nonlocal refused
        with httpx.Client(base_url=url, timeout=120) as client:
            while time.perf_counter() < until:
                with taking:
                    question = next(questions, None)
                if question is None:
                    return
                began = time.perf_counter()
                response = client.post("/v1/search", json={"question": question, **asked})
                took = time.perf_counter() - began
                with taking:
                    if response.status_code == 429:
                        refused += 1
                        continue
                    times.append(took)
                    spans = response.raise_for_status().json()["spans"]
                    answers[question] = [span["id"] for span in spans]

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if not times:
        raise InputError("no question was answered: give more documents or more seconds")
    ms = 1000 * np.array(times)
    figures = {
        "clients": clients,
        "questions": len(times),
        "refused": refused,
        "per_second": round(len(times) / took, 2),
        "p50_ms": round(float(np.percentile(ms, 50)), 1),
        "p95_ms": round(float(np.percentile(ms, 95)), 1),
    }
    return figures, answers


def _passes(url: str) -> tuple[float, float]:
    """Questions read and forward passes so far."""
    text = httpx.get(f"{url}/metrics", timeout=60).text
    values = []
    for name in ("s3_retriever_questions_total", "s3_retriever_questions_per_pass_count"):
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        values.append(float(found[1]) if found else math.nan)
    return values[0], values[1]


def _share(told: Sequence[bool]) -> float:
    return sum(told) / max(len(told), 1)


def bench_serving(
    engine: Engine,
    questions: Sequence[str],
    options: Sequence[str],
    *,
    clients: Sequence[int],
    seconds: float,
    mode: str,
    max_tokens: int,
) -> dict[str, Any]:
    """Measure a server of an engine's index.

    Args:
        engine: of an index in a folder; it is asked alone, for comparison.
        questions: all different, enough for all runs.
        options: of ``s3-retriever serve``, beside the index and the port.
        clients: how many ask at a time, a run each.
        seconds: of each run.
        mode: of the questions.
        max_tokens: budget of each.

    Raises:
        InputError: the index is in memory, or the server does not start.
    """
    folder = engine.index.folder
    if folder is None:
        raise InputError("a server has an index in a folder")
    asked: dict[str, Any] = {"mode": mode, "max_tokens": max_tokens}
    left = iter(questions)
    runs: list[dict[str, Any]] = []
    answers: dict[str, list[str]] = {}
    with _server(folder, options) as url:
        _load(url, left, 2, min(3.0, seconds), asked)  # what is made with the first questions
        for n in clients:
            before = _passes(url)
            figures, found = _load(url, left, n, seconds, asked)
            read, passes = (now - then for now, then in zip(_passes(url), before, strict=True))
            figures["questions_per_pass"] = round(read / max(passes, 1), 2)
            runs.append(figures)
            answers |= found
    answers = dict(list(answers.items())[-_COMPARED:])
    alone = {q: [s.id for s in engine.retrieve(q, **asked)] for q in answers}
    described = engine.llm.describe()
    return {
        "runs": runs,
        "speedup": round(runs[-1]["per_second"] / runs[0]["per_second"], 2),
        "same_spans": round(_share([set(answers[q]) == set(alone[q]) for q in answers]), 4),
        "same_order": round(_share([answers[q] == alone[q] for q in answers]), 4),
        "mode": mode,
        "max_tokens": max_tokens,
        "tokens": engine.documents.view.n_tokens,
        "device": described["device"],
        "dtype": described["dtype"],
    }
