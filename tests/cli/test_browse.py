"""What an index holds, on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import s3_retriever
from s3_retriever.cli.app import app
from s3_retriever.cli.display import console
from tests.cli.conftest import FILES, Run, Setup


@pytest.fixture
def place(setup: Setup) -> list[object]:
    return ["--index", setup.index, "--profile", setup.profile]


def test_documents_are_listed(run: Run, place: list[object]) -> None:
    shown = run("list", *place)
    assert shown.exit_code == 0, shown.output
    assert [line.split("  ")[0] for line in shown.stdout.splitlines()] == sorted(FILES)
    record = json.loads(run("list", *place, "--json", "--limit", 2).stdout)
    assert ([d["id"] for d in record["documents"]], record["total"]) == (sorted(FILES)[:2], 3)
    titled = ["--filter", '{"title": "A comet"}']
    (found,) = json.loads(run("list", *place, *titled, "--json").stdout)["documents"]
    assert (found["id"], found["metadata"]["title"]) == ("sky/comet.html", "A comet")
    assert "1 shown" in run("list", *place, "--limit", 1).stdout
    assert run("list", *place, "--filter", '{"a": {"$no": 1}}').exit_code == 2


def test_a_document_is_printed(run: Run, place: list[object]) -> None:
    text = run("get", "lighthouse.txt", *place).stdout
    assert "finished in 1887" in text
    record = json.loads(run("get", "lighthouse.txt", *place, "--json").stdout)
    assert text == record["text"] + "\n"
    assert record["metadata"]["title"] == "The lighthouse"
    nobody = run("get", "no\x1b[31mbody", *place)
    assert nobody.exit_code == 2
    assert "no document 'no\\x1b[31mbody'" in " ".join(nobody.output.split())
    assert "s3-retriever list" in " ".join(nobody.output.split())


def test_a_text_does_not_steer_a_terminal(
    run: Run, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("red \x1b[31m alert", encoding="utf-8")
    index = tmp_path / "index"
    done = run("index", tmp_path / "a.txt", "--root", tmp_path, "--index", index, *setup.resident)
    assert done.exit_code == 0, done.output
    asked = ["get", "a.txt", "--index", index, "--profile", setup.profile]
    assert "\x1b" in run(*asked).stdout  # into a file or a pipe a text goes as it is
    monkeypatch.setattr(type(console), "is_terminal", True)
    assert "\x1b" not in run(*asked).stdout


def test_namespaces_are_listed(run: Run, setup: Setup, own_index: Path) -> None:
    assert run("namespaces", "--index", own_index).stdout == ""
    given = [setup.files, "--root", setup.files, "--index", own_index, "--namespace", "team-a"]
    assert run("index", *given, *setup.resident).exit_code == 0
    assert run("namespaces", "--index", own_index).stdout == "team-a\n"
    record = json.loads(run("namespaces", "--index", own_index, "--json").stdout)
    assert record == {"namespaces": ["team-a"]}
    assert run("namespaces", "--index", own_index / "nowhere").exit_code == 2


def test_a_namespace_is_deleted(run: Run, setup: Setup, own_index: Path) -> None:
    given = [setup.files, "--root", setup.files, "--index", own_index, "--namespace", "team-a"]
    assert run("index", *given, *setup.resident).exit_code == 0
    asked = ["namespaces", "--index", own_index, "--delete", "team-a"]
    for typed, code in (("n\n", 2), ("", 1)):
        result = CliRunner().invoke(app, list(map(str, asked)), input=typed)
        assert result.exit_code == code, result.output
        assert "Delete namespace team-a" in result.stderr
    assert run("namespaces", "--index", own_index).stdout == "team-a\n"
    left = shutil.copytree(
        own_index / "namespaces/team-a", own_index / f"namespaces/b.deleted-{'0' * 16}"
    )
    place = ["--index", own_index, "--profile", setup.profile]
    doctor = run("doctor", *place)
    assert (doctor.exit_code, "left of a namespace" in doctor.stdout) == (0, True)
    assert "left of" not in run("doctor", *place, "--repair").stdout
    assert not left.exists()
    gone = run(*asked, "--yes")
    assert (gone.exit_code, gone.stdout) == (0, "namespace team-a deleted\n")
    assert run("namespaces", "--index", own_index).stdout == ""
    again = run(*asked, "--yes")
    assert (again.exit_code, "no namespace 'team-a'" in again.stderr) == (2, True)


def test_the_version(run: Run) -> None:
    assert run("--version").stdout == f"s3-retriever {s3_retriever.__version__}\n"
