"""``s3-retriever serve`` as a process: it starts, answers, and ends as it is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from s3_retriever_bench.cli.app import app as bench
from typer.testing import CliRunner

from s3_retriever.cli.app import app


class Process:
    """A server's process and what it logged."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict] = []
        self._port = threading.Event()
        self.url = ""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        assert self._port.wait(120), self.lines

    def _read(self) -> None:
        for line in self.process.stderr:
            if not line.startswith("{"):
                continue  # the command line's own words, before it serves
            self.lines.append(json.loads(line))
            if found := re.search(r"http://[^ ]*:[0-9]+", self.lines[-1]["message"]):
                self.url = found[0]
                self._port.set()

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        self._reading.join(10)


@contextmanager
def ran(*arguments: str) -> Iterator[Process]:
    """``s3-retriever`` with these arguments, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "s3_retriever", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def started(index: Path, resident: list[str], *options: str) -> Iterator[Process]:
    """A server on a free port."""
    with ran("serve", "--index", str(index), "--port", "0", *resident, *options) as server:
        yield server


def test_a_server_ends_after_its_answers_and_jobs_go_on_in_the_next(
    tmp_path: Path, resident: list[str]
) -> None:
    index = tmp_path / "index"
    documents = [{"id": f"d{n}", "text": f"The mill of {n} is old. " * 40} for n in range(60)]
    with started(index, resident) as server, httpx.Client(base_url=server.url) as client:
        job = client.post("/v1/documents", json={"documents": documents}, timeout=60).json()
        asked = {
            "model": client.get("/v1/models").json()["data"][0]["id"],
            "messages": [{"role": "user", "content": "Tell me of the mill."}],
            "max_tokens": 100,
            "stream": True,
        }
        with client.stream("POST", "/v1/chat/completions", json=asked, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            rest = list(lines)
        assert rest[-2:] == ["data: [DONE]", ""]  # the answer came to its end
        server.process.wait(120)
    with started(index, resident) as server, httpx.Client(base_url=server.url) as client:
        found = {"state": "queued"}
        while found["state"] in ("queued", "running"):
            found = client.get(f"/v1/jobs/{job['id']}?wait=60", timeout=90).json()
        assert found["state"] == "done"
        assert client.get("/v1/info").json()["documents"] == 60
        server.end()
    assert any(line.get("route") == "/v1/info" for line in server.lines)


def test_other_hosts_need_tokens(tmp_path: Path, resident: list[str]) -> None:
    tokens = tmp_path / "tokens.json"
    arguments = ["serve", "--index", str(tmp_path / "index"), "--host", "0.0.0.0", *resident]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "--token-file" in result.stderr
    tokens.write_text('{"tokens": [{"name": "web", "token": "0123456789abcdef"}]}')
    tokens.chmod(0o600)
    with started(
        tmp_path / "index", resident, "--host", "0.0.0.0", "--token-file", str(tokens)
    ) as (server):
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        headers = {"Authorization": "Bearer 0123456789abcdef"}
        assert httpx.get(f"{url}/v1/info").status_code == 401
        assert httpx.get(f"{url}/v1/info", headers=headers).json()["documents"] == 0
        server.end()
    assert "0123456789abcdef" not in json.dumps(server.lines)


@pytest.mark.slow
def test_the_benchmark_measures_a_server(tmp_path: Path, resident: list[str]) -> None:
    for name in ("one", "two"):
        sentences = (f"The {name} mill of the year {n} was built by Anna Berg." for n in range(400))
        (tmp_path / f"{name}.txt").write_text(" ".join(sentences))
    arguments = ["serve", str(tmp_path), "--clients", "1", "--clients", "3", "--seconds", "1"]
    result = CliRunner().invoke(bench, [*arguments, "--json", *resident])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [run["clients"] for run in found["runs"]] == [1, 3]
    assert all(run["questions"] >= 1 and run["refused"] == 0 for run in found["runs"])
    assert found["same_spans"] == 1
