"""Commands that ask a server, one that is named or the one that has the index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from s3_retriever import Engine
from s3_retriever.server.announcing import announced
from s3_retriever.server.tokens import TokenRecord, Tokens
from tests.cli.conftest import Run, Setup
from tests.cli.test_light_commands import loaded
from tests.server.conftest import Running, eventually, serving

QUESTION = "When was the lighthouse finished?"
TOKEN = "reader-0123456789abcdef"


@pytest.fixture
def engine(setup: Setup, own_index: Path) -> Engine:
    return Engine.from_profile(setup.profile, own_index, model=str(setup.model), device="cpu")


@contextmanager
def told(engine: Engine, **arguments: Any) -> Iterator[Running]:
    """A server that has said where it is, which is the last thing that it does at its start."""
    with serving(engine, **arguments) as running:
        assert eventually(lambda: announced(Path(engine.documents.location or "")) is not None)
        yield running


@pytest.fixture
def running(engine: Engine) -> Iterator[Running]:
    with told(engine) as running:
        yield running


def record_of(run: Run, *arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_is_found_is_the_same(
    run: Run, setup: Setup, own_index: Path, running: Running
) -> None:
    here = record_of(run, "search", QUESTION, "--index", own_index, *setup.resident)
    found = run("search", QUESTION, "--index", own_index, "--json")
    assert f"asking the server at {running.url}" in found.stderr
    assert "loading" not in found.stderr
    there = json.loads(found.stdout)
    named = record_of(run, "search", QUESTION, "--url", running.url)
    assert here["spans"] == there["spans"] == named["spans"] != []
    assert (there["index"], there["profile"]) == (str(own_index), "tiny")
    assert (named["index"], named["profile"]) == (running.url, "tiny")

    shown = run("search", QUESTION, "--index", own_index)
    alone = run("search", QUESTION, "--index", own_index, *setup.resident)
    assert shown.stdout.splitlines()[:-1] == alone.stdout.splitlines()[:-1]
    assert shown.stdout.splitlines()[-1].startswith(f"{len(here['spans'])} spans, ")

    options = ["--answer-tokens", 8]
    answers = [
        record_of(run, "ask", QUESTION, *options, *where)
        for where in (
            ["--index", own_index],
            ["--url", running.url],
            ["--index", own_index, *setup.resident],
        )
    ]
    assert len({answer["answer"] for answer in answers}) == 1
    assert answers[0]["spans"] == answers[1]["spans"] == answers[2]["spans"]


def test_documents_by_the_address_alone(
    run: Run, setup: Setup, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_RETRIEVER_URL", running.url)
    assert [d["id"] for d in record_of(run, "list")["documents"]] == [
        "bread.md",
        "lighthouse.txt",
        "sky/comet.html",
    ]
    assert "1887" in run("get", "lighthouse.txt").stdout
    unknown = run("get", "nobody")
    assert (unknown.exit_code, running.url in unknown.stderr) == (2, True)

    (tmp_path / "mill.txt").write_text("The mill was built in 1780.", encoding="utf-8")
    given = ["index", tmp_path / "mill.txt", "--root", tmp_path]
    first = run(*given)
    assert first.exit_code == 0, first.output
    assert "1 added" in first.stdout
    assert "1 unchanged" in run(*given).stdout
    assert run(*given, "--dry-run").exit_code == 2
    assert run("delete", "mill.txt", "nobody").exit_code == 2
    assert "1 documents deleted" in run("delete", "mill.txt").stdout
    spaced = run(*given, "--namespace", "team-a")
    assert "1 added" in spaced.stdout
    assert [d["id"] for d in record_of(run, "list", "--namespace", "team-a")["documents"]] == [
        "mill.txt"
    ]


def test_files_are_read_by_the_server_that_has_the_index(
    run: Run, setup: Setup, own_index: Path, running: Running, tmp_path: Path
) -> None:
    (tmp_path / "mill.txt").write_text("The mill was built in 1780.", encoding="utf-8")
    place = ["--index", own_index, "--profile", setup.profile]
    result = run("index", tmp_path / "mill.txt", "--root", tmp_path, *place)
    assert result.exit_code == 0, result.output
    assert "1 added" in result.stdout
    assert "asking the server" in result.stderr
    assert "loading" not in result.stderr
    assert "mill.txt" in running.engine.ids()


def test_no_torch_is_imported(own_index: Path, running: Running) -> None:
    for arguments in (
        ["search", QUESTION, "--index", str(own_index)],
        ["ask", QUESTION, "--url", running.url, "--answer-tokens", "4"],
        ["list", "--url", running.url],
    ):
        assert loaded(own_index, *arguments) == "loaded:"


def test_a_server_that_is_gone(run: Run, setup: Setup, own_index: Path, engine: Engine) -> None:
    with told(engine) as running:
        left = own_index / "jobs" / "server.json"
        content = left.read_bytes()
        assert running.resident.instance.encode() in content
    assert not left.exists()
    left.write_bytes(content)  # as after a kill
    result = run("search", QUESTION, "--index", own_index, "--profile", setup.profile)
    assert "asking the server" not in result.stderr
    assert "loading" in result.stderr
    gone = run("list", "--url", running.url)
    assert (gone.exit_code, "cannot be reached" in gone.stderr) == (2, True)


def test_a_file_that_says_nothing(
    own_index: Path, running: Running, tmp_path: Path, setup: Setup
) -> None:
    assert announced(own_index) is not None
    copy = tmp_path / "copy"
    shutil.copytree(own_index, copy)
    assert announced(copy) is None  # another folder is another index
    said = own_index / "jobs" / "server.json"
    record = json.loads(said.read_bytes())
    for wrong in ("{", "[]", json.dumps(record | {"host": "10.0.0.1"}), "x" * 10_000):
        said.write_text(wrong)
        assert announced(own_index) is None
    said.unlink()
    said.symlink_to(tmp_path / "elsewhere.json")
    (tmp_path / "elsewhere.json").write_text(json.dumps(record))
    assert announced(own_index) is None
    said.unlink()


def test_another_server_at_the_same_port(
    run: Run, setup: Setup, own_index: Path, running: Running
) -> None:
    said = own_index / "jobs" / "server.json"
    record = json.loads(said.read_bytes())
    said.write_text(json.dumps(record | {"instance": "0" * 32}))
    result = run("search", QUESTION, "--index", own_index, "--profile", setup.profile)
    assert "asking the server" not in result.stderr


def test_tokens(
    run: Run, setup: Setup, own_index: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [
        TokenRecord(name="reader", token=TOKEN, write=False),
        TokenRecord(name="team", token=TOKEN + "t", namespaces=["team-a"]),
    ]
    place = ["--index", own_index, "--profile", setup.profile]
    with told(engine, tokens=Tokens(records)):
        assert TOKEN not in (own_index / "jobs" / "server.json").read_text()
        for token, asked in ((None, False), ("wrong", False), (TOKEN, True), (TOKEN + "t", False)):
            if token:
                monkeypatch.setenv("S3_RETRIEVER_TOKEN", token)
            result = run("search", QUESTION, *place)
            assert ("asking the server" in result.stderr) == asked
        monkeypatch.setenv("S3_RETRIEVER_TOKEN", TOKEN)
        (own_index.parent / "new.txt").write_text("The mill was built in 1780.")
        files = ["index", own_index.parent / "new.txt", *place]
        assert "asking the server" not in run(*files).stderr  # it may only read


def test_what_does_not_go_together(run: Run, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_RETRIEVER_URL", raising=False)
    url = "http://127.0.0.1:9"
    for arguments, said in (
        (["search", QUESTION], "--url"),
        (["search", QUESTION, "--index", setup.index, "--url", url], "not both"),
        (["search", QUESTION, "--url", url, "--device", "cpu"], "the server's"),
        (["list", "--url", url, "--profile", "tiny"], "the server's"),
        (["list", "--url", "ftp://here"], "http://"),
        (["list", "--url", url, "--namespace", "No"], "namespace 'No'"),
    ):
        result = run(*arguments)
        assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
