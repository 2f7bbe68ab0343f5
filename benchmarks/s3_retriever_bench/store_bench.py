"""An index in PostgreSQL beside one in a folder: building, size, and clients that ask, in one run.

Both hold the same documents. Rounds of questions go to both in turn, so that whatever else the
machine does meets both; a client never asks the same question of an index twice.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from psycopg import sql

from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.base import DocumentStore
from s3_retriever.storage.postgres.connection import Database
from s3_retriever.storage.postgres.url import StoreUrl
from s3_retriever.storage.stores import open_documents
from s3_retriever_bench.asking import Answer, Client, Questions, clients
from s3_retriever_bench.index_bench import Source, batches_of

__all__ = ["ROUNDS", "WARM_UP", "bench_store"]

ROUNDS = 3
"""In each, every index is asked by every number of clients."""
WARM_UP = 3
"""Questions that each client asks of each index before any clock runs."""


def bench_store(
    profile: Profile,
    source: Source,
    questions: Questions,
    folder: Path,
    url: str,
    tokens: int,
    n_clients: Sequence[int],
) -> dict[str, Any]:
    """Build an index of ``tokens`` tokens in ``folder`` and one in PostgreSQL, and ask both.

    The one in PostgreSQL gets a schema of its own, which is dropped at the end.

    Args:
        profile: with heads.
        source: what is drawn from.
        questions: at least :data:`WARM_UP` and one for each of :data:`ROUNDS`.
        folder: a new one.
        url: ``postgresql://...`` of the server.
        tokens: how many.
        n_clients: numbers of processes that ask at once.

    Returns:
        ``tokens``, ``documents``, what was measured, and by store (``folder``, ``postgresql``)
        ``build_tokens_per_s``, ``bytes_per_token`` and, by number of clients, ``search_p50_ms`` and
        ``search_p95_ms`` (candidates and exact scores), ``fast_p50_ms`` and ``fast_p95_ms`` (all
        of a question in mode ``fast`` but its reading) and ``questions_per_s``. ``ratio`` is, by
        number of clients, the median over rounds of PostgreSQL's medians over the folder's.
    """
    with _new_schema(url) as location:
        places = {"folder": str(folder), "postgresql": location}
        stores = {name: open_documents(place, profile.card) for name, place in places.items()}
        built = {name: _build(store, source, tokens) for name, store in stores.items()}
        with clients(questions, sum(n_clients)) as everyone:
            asked = _ask(places, questions, everyone, n_clients)
    described = stores["folder"].view
    return {
        "tokens": described.n_tokens,
        "documents": described.n_documents,
        "stores": {
            name: built[name] | {"clients": {str(n): _summary(asked[name, n]) for n in n_clients}}
            for name in stores
        },
        "ratio": {str(n): _ratios(asked["folder", n], asked["postgresql", n]) for n in n_clients},
        "source_tokens": source.n_tokens,
        "questions": _per_round(questions) * ROUNDS,
        "rounds": ROUNDS,
        "clients": "processes of one thread",
        "profile": profile.card.name,
    }


@contextmanager
def _new_schema(url: str) -> Iterator[str]:
    """A place for an index that nobody else uses, and that is gone at the end."""
    place = StoreUrl.parse(url).namespace(f"bench{secrets.token_hex(4)}")
    try:
        yield place.with_password
    finally:
        database = Database(place)
        with database.transaction() as session:
            session.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(place.schema))
            )
        database.close()


def _build(store: DocumentStore, source: Source, tokens: int) -> dict[str, Any]:
    started = time.perf_counter()
    for batch in batches_of(source.coded, tokens):
        store.commit(batch)
    seconds = time.perf_counter() - started
    described = store.describe()
    return {
        "build_tokens_per_s": round(described["tokens"] / seconds),
        "bytes_per_token": described["bytes_per_token"],
    }


Round = tuple[list[Answer], float]
"""Answers of all clients, and the seconds until the last one."""


def _ask(
    places: dict[str, str],
    questions: Questions,
    everyone: Sequence[Client],
    n_clients: Sequence[int],
) -> dict[tuple[str, int], list[Round]]:
    """Rounds of questions, by store and number of clients, each number with its own clients."""
    ends = np.cumsum(n_clients).tolist()
    groups = [(n, everyone[end - n : end]) for n, end in zip(n_clients, ends, strict=True)]
    for place in places.values():
        _round(everyone, place, range(WARM_UP))
    size = _per_round(questions)
    found: dict[tuple[str, int], list[Round]] = {}
    for number in range(ROUNDS):
        first = WARM_UP + number * size
        for n, group in groups:
            for name, place in places.items():
                answers = _round(group, place, range(first, first + size))
                found.setdefault((name, n), []).append(answers)
    return found


def _per_round(questions: Questions) -> int:
    return (len(questions.asked) - WARM_UP) // ROUNDS


def _round(group: Sequence[Client], place: str, numbers: range) -> Round:
    started = time.perf_counter()
    for n, client in enumerate(group):  # each begins elsewhere
        at = n * len(numbers) // len(group)
        client.begin(place, [*numbers[at:], *numbers[:at]])
    answers = [answer for client in group for answer in client.answers()]
    return answers, time.perf_counter() - started


def _summary(rounds: Sequence[Round]) -> dict[str, float]:
    answers = [answer for some, _ in rounds for answer in some]
    found = {}
    for name in ("search", "fast"):
        times = [getattr(answer, name) for answer in answers]
        for percent in (50, 95):
            found[f"{name}_p{percent}_ms"] = round(float(np.percentile(times, percent)), 2)
    rates = [len(some) / seconds for some, seconds in rounds]
    return found | {"questions_per_s": round(float(np.median(rates)), 2)}


def _ratios(before: Sequence[Round], after: Sequence[Round]) -> dict[str, float]:
    found = {}
    for name in ("search", "fast"):
        medians = [
            [float(np.median([getattr(answer, name) for answer in some])) for some, _ in rounds]
            for rounds in (before, after)
        ]
        found[name] = round(float(np.median(np.divide(medians[1], medians[0]))), 2)
    return found
