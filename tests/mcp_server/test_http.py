"""Streamable HTTP: a process of its own that wants a token, and who is turned away."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from s3_retriever import Engine
from s3_retriever.cli.app import app
from s3_retriever.errors import InputError
from s3_retriever.mcp_server.serving import read_tokens
from tests.mcp_server.conftest import QUESTION, TEXTS, connected, content, refusal

TOKEN = "0123456789abcdef-first"
OTHER = "0123456789abcdef-other"
PING: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture(scope="module")
def url(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a process serves a copy of the index; it has to end well when it is interrupted."""
    folder = tmp_path_factory.mktemp("http")
    assert engine.index.folder
    shutil.copytree(engine.index.folder, folder / "index")
    (folder / "tokens").write_text(f"{TOKEN}\n\n{OTHER}\n")
    options = ["--transport", "http", "--port", "0", "--token-file", str(folder / "tokens")]
    command = [sys.executable, "-m", "s3_retriever", "mcp", "--index", str(folder / "index")]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # a shell ignores Ctrl-C for what it starts in the background, and children inherit it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        logged = ""
        while not (said := re.search(r"listening at (\S+)", logged)):
            assert process.poll() is None, logged
            logged = (folder / "log").read_text()
        yield said[1]
        process.send_signal(signal.SIGINT)
        assert process.stdout
        assert process.stdout.read() == ""
    logged = (folder / "log").read_text()
    assert process.returncode == 130
    for secret in (TOKEN, OTHER, QUESTION, "Traceback"):
        assert secret not in logged


def post(url: str, **headers: str) -> int:
    """The status of a request with some headers."""
    accept = {"Accept": "application/json, text/event-stream"}
    return httpx2.post(url, json=PING, headers={**accept, **headers}, timeout=60).status_code


def test_a_session(url: str) -> None:
    client = httpx2.AsyncClient(headers={"Authorization": f"Bearer {OTHER}"}, timeout=120)
    with connected(streamable_http_client(url, http_client=client)) as session:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("search", {"question": QUESTION, "mode": "fast", "max_tokens": 40}),
            ("list", {"limit": 1}),
            ("read", {"id": "lighthouse:0-5", "context_tokens": 0}),
            ("read", {"id": "lighthouse%2f..%2f"}),
            ("add", {"text": "Hello."}),
        ]
        found, listed, read, *wrong = session.together(calls * 2)[:5]
        for span in content(found)["spans"]:
            assert TEXTS[span["doc_id"]][span["start"] : span["end"]] == span["text"]
        assert "1887" in " ".join(span["text"] for span in content(found)["spans"])
        assert content(listed)["next"] == "lighthouse"
        assert content(read)["text"] == "The l"
        assert all(map(refusal, wrong))


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x"])
def test_without_a_token_nobody_is_answered(url: str, given: str | None) -> None:
    assert post(url, **({} if given is None else {"Authorization": given})) == 401


def test_no_web_page_reaches_it_by_a_name_of_its_own(url: str) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    good = post(url, **token)
    assert good not in (401, 403, 421)
    assert post(url, **token, Host="evil.example:80") == 421
    assert post(url, **token, Origin="http://evil.example") == 403
    assert post(url, **token, Origin="http://localhost:3000") == good


def test_what_is_too_large_is_refused(url: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    sent = httpx2.post(url, content=b" " * 5_000_000, headers=headers, timeout=60)
    assert sent.status_code == 413


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "--token-file"),
        (["--host", "::"], "--token-file"),
        (["--host", "127.0.0.1.evil.example"], "--token-file"),
        (["--token-file", "no-such-file"], "no-such-file"),
        (["--namespace", "../other"], "namespace"),
    ],
)
def test_what_is_not_served(engine: Engine, options: list[str], said: str) -> None:
    arguments = ["mcp", "--index", str(engine.index.folder), "--transport", "http", *options]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_an_index_that_is_not_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["mcp", "--index", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "make one with: s3-retriever index" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "none").exists()


def test_a_port_that_is_taken(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        where = ["--index", str(engine.index.folder), "--port", port]
        done = CliRunner().invoke(app, ["mcp", *where, "--transport", "http"])
    assert done.exit_code == 2
    assert f"cannot listen at 127.0.0.1, port {port}" in done.stderr


@pytest.mark.parametrize("text", ["", " \n", "short", "with spaces in the middle", "ä" * 20])
def test_tokens_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_tokens(tmp_path / "tokens")
    assert not text.strip() or text not in str(caught.value)
