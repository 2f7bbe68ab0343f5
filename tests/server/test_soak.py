"""Sixteen clients that mix everything: nothing fails, nothing is stuck, nothing piles up."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import psutil
import pytest

from tests.server.conftest import eventually, finished
from tests.server.soak import MARK, Soaking
from tests.server.test_command import Process, started

logger = logging.getLogger(__name__)

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
"""How long; what is asked first fills caches, so less than some minutes is not level."""
CLIENTS = 16
SECRETS = {"admin": "admin-0123456789abcdef", "team": "team-0123456789abcdef"}
TOKENS = [
    {"name": "admin", "token": SECRETS["admin"]},
    {"name": "team", "token": SECRETS["team"], "namespaces": ["team", "other"]},
    {"name": "few", "token": "few-0123456789abcdef", "per_minute": 60},
    {"name": "reader", "token": "reader-0123456789abcdef", "write": False},
]
MEGABYTE = 1 << 20


class Used(NamedTuple):
    """What all processes of a server hold."""

    megabytes: float
    files: float
    """Sockets included."""
    threads: float


def _used(process: psutil.Process) -> Used:
    family = [process, *process.children(recursive=True)]
    return Used(
        sum(one.memory_info().rss for one in family) / MEGABYTE,
        sum(one.num_fds() for one in family),
        sum(one.num_threads() for one in family),
    )


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 600)
def test_nothing_fails_and_nothing_piles_up(tmp_path: Path, resident: list[str]) -> None:
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"tokens": TOKENS}))
    tokens.chmod(0o600)
    index = tmp_path / "index"
    with started(index, resident, "--token-file", str(tokens)) as server:
        headers = {"Authorization": f"Bearer {SECRETS['admin']}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=300) as admin:
            used, clients = _soak(server, admin)
            _is_well(admin)
        server.end()
        assert server.process.returncode == -signal.SIGTERM  # it ended as it was told
    statuses: Counter[tuple[str, int]] = sum((c.statuses for c in clients), Counter())
    first, second = (_level(part) for part in _halves(used))
    third, last = (_level(part) for part in _halves(_halves(used)[1]))
    logger.info("%d requests: %s", statuses.total(), sorted(statuses.items()))
    over_time = [tuple(map(round, one)) for one in used[:: max(1, len(used) // 20)]]
    logger.info("megabytes, files and threads over time: %s", over_time)
    assert [wrong for client in clients for wrong in client.wrong] == []
    assert not [line for line in server.lines if line["level"] == "error"]
    assert MARK not in json.dumps(server.lines)
    assert {name for (name, status), _ in statuses.items() if status < 300} >= {"search", "chat"}
    assert second.megabytes < 1.2 * first.megabytes
    assert last.megabytes < 1.1 * third.megabytes
    assert last.files <= third.files + CLIENTS  # what a client holds at a moment differs
    assert last.threads <= third.threads + 2


def _halves(used: list[Used]) -> tuple[list[Used], list[Used]]:
    return used[: len(used) // 2], used[len(used) // 2 :]


def _level(used: list[Used]) -> Used:
    return Used(*map(median, zip(*used, strict=True)))


def _soak(server: Process, admin: httpx.Client) -> tuple[list[Used], list[Soaking]]:
    model = admin.get("/v1/models").json()["data"][0]["id"]
    until = time.monotonic() + SECONDS
    secrets = [TOKENS[n % 4 if n < 8 else n % 2]["token"] for n in range(CLIENTS)]
    clients = [Soaking(server.url, secret, n, until, model) for n, secret in enumerate(secrets)]
    for client in clients:
        client.start()
    process = psutil.Process(server.process.pid)
    used = []
    while time.monotonic() < until:
        used.append(_used(process))
        time.sleep(min(2.0, SECONDS / 20))
    for client in clients:
        client.join(300)
        assert not client.is_alive(), "a client still waits"
    return used, clients


def _is_well(admin: httpx.Client) -> None:
    """Nothing is open once all clients are gone, and documents are added, found and deleted."""
    for job in admin.get("/v1/jobs").json()["jobs"]:
        admin.delete(f"/v1/jobs/{job['id']}")
    names = ("questions_open", "jobs_open", "works_open")

    def idle() -> bool:
        lines = admin.get("/metrics").text.splitlines()
        open_ = [line for line in lines if any(f"_{name} " in line for name in names)]
        values = [float(line.split()[1]) for line in open_ if not line.startswith("#")]
        assert len(values) == len(names)
        return not any(values)

    assert eventually(idle)
    assert admin.get("/readyz").status_code == 200
    made = {"id": "last", "text": "The last mill is red.", "metadata": {"last": True}}
    job = finished(admin, admin.post("/v1/documents", json={"documents": [made]}))
    assert job["state"] == "done"
    for mode in ("fast", "hybrid"):
        asked = {"question": "Which mill is red?", "mode": mode, "filter": {"last": True}}
        spans = admin.post("/v1/search", json=asked).json()["spans"]
        assert {span["doc_id"] for span in spans} == {"last"}
    assert admin.delete("/v1/documents/last").json() == {"n": 1}
