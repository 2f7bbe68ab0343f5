"""``index``: what becomes of files, and what is said about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from s3_retriever.engine import Engine
from s3_retriever.profiles.cards import load_card
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from tests.cli.conftest import FILES, Run, Setup
from tests.readers.files import pdf_bytes


def test_added_then_unchanged_then_updated(run: Run, setup: Setup, tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    (source / "a.txt").write_text("Cats sleep most of the day.")
    (source / "b.txt").write_text("Dogs bark at night.")
    (source / "c.png").write_text("1,2")
    (source / "broken.pdf").write_text("no pdf")
    command = ["index", source, "--index", tmp_path / "index", *setup.resident]

    first = run(*command)
    assert first.exit_code == 0
    (line,) = first.stdout.splitlines()
    assert "2 added, 0 updated, 0 unchanged, 1 skipped (1 left alone)" in line
    assert "tokens/s" in line
    assert f"skipped {source / 'broken.pdf'}: it is a broken PDF" in first.stderr
    assert f"left alone {source / 'c.png'}: no reader takes .png (image/png)" in first.stderr
    assert f"loading {setup.model}" in first.stderr

    (source / "b.txt").write_text("Dogs bark at noon.")
    second = run(*command)
    assert "0 added, 1 updated, 1 unchanged, 1 skipped" in second.stdout

    third = run(*command)
    assert "0 added, 0 updated, 2 unchanged" in third.stdout
    assert "no tokens to read" in third.stdout
    assert third.exit_code == 0


def test_every_file_that_is_not_read_is_named_with_its_reason(
    run: Run, setup: Setup, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    left = {
        "a.png": (b"\x89PNG\r\n\x1a\n\x00", "left alone", "image/png"),
        "b.zip": (b"PK\x03\x04", "left alone", "zip"),
        "c.tar.gz": (b"\x1f\x8b", "left alone", "gzip"),
        "d": (b"\x7fELF\x00", "left alone", "no suffix"),
        "e.doc": (b"\xd0\xcf\x11\xe0", "left alone", "msword"),
        ".hidden/f.txt": (b"hidden", "left alone", "hidden folder"),
        "g.txt": (b"", "skipped", "it is empty"),
        "h.md": (b"\x89PNG\x00", "skipped", "picture"),
        "i.docx": (b"text", "skipped", "no Word file"),
        "j.pdf": (b"%PDF-1.4", "skipped", "broken PDF"),
        "k.txt": ("Grüße aus Köln".encode("latin-1"), "note", "read as windows-1252"),
    }
    for name, (data, *_) in left.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_bytes(data)
    done = run("index", files, "--index", tmp_path / "index", *setup.resident)
    assert done.exit_code == 0
    assert "1 added, 0 updated, 0 unchanged, 4 skipped (6 left alone)" in done.stdout
    lines = done.stderr.splitlines()
    for name, (_, how, why) in left.items():
        path = files / name if how != "left alone" or "hidden" not in name else files / ".hidden"
        (line,) = (line for line in lines if line.startswith(f"{how} {path}: "))
        assert why in line


def test_the_page_of_a_pdf_is_told(run: Run, setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_bytes("It is dry.", "", "Cats sleep most of the day."))
    index = tmp_path / "index"
    run("index", tmp_path / "a.pdf", "--index", index, "--root", tmp_path, *setup.resident)
    asked = ("When do cats sleep?", "--index", index, "--mode", "bm25", *setup.resident)
    assert "a.pdf:12-39, p. 3" in run("search", *asked).stdout
    (span,) = json.loads(run("search", *asked, "--json").stdout)["spans"]
    assert span["metadata"]["page_label"] == "3"
    assert "page_starts" not in span["metadata"]
    answered = run("ask", *asked).stdout
    assert ", p. 3" in answered or "none of the passages" in answered


def test_the_progress_reaches_the_end(run: Run, setup: Setup, tmp_path: Path) -> None:
    result = run("index", setup.files, "--index", tmp_path / "index", *setup.resident)
    assert "100%" in result.stderr


def test_nothing_that_can_be_read(run: Run, setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.png").write_text("1,2")
    result = run("index", tmp_path, "--index", tmp_path / "index", *setup.resident)
    assert result.exit_code == 2
    assert result.stdout == ""
    *_, skipped, left, error = result.stderr.splitlines()
    assert left == f"left alone {tmp_path / 'b.png'}: no reader takes .png (image/png)"
    assert skipped.startswith(f"skipped {tmp_path / 'a.txt'}: ")
    assert error.startswith(f"error: nothing to index in {tmp_path}; kinds of files")
    assert "loading" not in result.stderr
    assert not (tmp_path / "index").exists()


def test_a_folder_with_other_files_is_not_taken_for_the_index(
    run: Run, setup: Setup, tmp_path: Path
) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    result = run("index", setup.files, "--index", tmp_path, *setup.resident)
    assert result.exit_code == 2
    assert "is not empty and holds no index" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


def test_an_interruption_says_what_is_kept(
    run: Run, setup: Setup, own_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "add", interrupted)
    (tmp_path / "new.txt").write_text("Something new.")
    result = run("index", tmp_path / "new.txt", "--index", own_index, *setup.resident)
    assert result.exit_code == 130
    assert f"{own_index} holds {len(FILES)} documents" in result.stderr
    assert "run the same command again" in result.stderr


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("projA", "projB"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(f"# {name}\n\nThis is {name}.")
    return tmp_path / "projA", tmp_path / "projB"


def ids(setup: Setup, folder: Path) -> list[str]:
    return Index(folder, load_card(setup.profile)).view.document_ids()


def test_two_projects_with_files_of_the_same_name(
    run: Run, setup: Setup, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    place = ["--index", tmp_path / "index", *setup.resident]
    assert "1 added" in run("index", projects[0], *place).stdout
    assert "1 added, 0 updated" in run("index", projects[1], *place).stdout
    assert "0 added, 0 updated, 2 unchanged" in run("index", *projects, *place).stdout
    assert ids(setup, tmp_path / "index") == [str(p / "README.md") for p in projects]

    rooted = ["--index", tmp_path / "rooted", *setup.resident]
    run("index", projects[0], "--root", projects[0], *rooted)
    refused = run("index", projects[1], "--root", projects[1], *rooted)
    assert refused.exit_code == 2
    assert f"the one of {projects[0] / 'README.md'}" in refused.stderr
    moved = projects[0].rename(tmp_path / "moved")
    assert "1 updated" in run("index", moved, "--root", moved, *rooted).stdout
    assert ids(setup, tmp_path / "rooted") == ["README.md"]


def test_pruning_and_a_dry_run(
    run: Run, setup: Setup, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    place = ["--index", tmp_path / "index", *setup.resident]
    command = ["index", *projects, "--prune", *place]
    first = run(*command, "--dry-run")
    assert first.exit_code == 0
    assert f"would add {projects[0] / 'README.md'}" in first.stdout
    assert "2 added, 0 updated" in first.stdout
    assert "loading" not in first.stderr
    assert not (tmp_path / "index").exists()

    assert "2 added" in run(*command).stdout
    (projects[0] / "README.md").unlink()
    (projects[1] / "README.md").write_text("Another text.")
    (projects[1] / "new.txt").write_text("A new one.")
    before = {p: p.read_bytes() for p in (tmp_path / "index").rglob("*") if p.is_file()}
    said = run(*command, "--dry-run")
    assert said.stdout.splitlines()[:-1] == [
        f"would add {projects[1] / 'new.txt'}",
        f"would update {projects[1] / 'README.md'}",
        f"would remove {projects[0] / 'README.md'}",
    ]
    counts = "1 added, 1 updated, 0 unchanged, 0 skipped, 1 removed"
    assert counts in said.stdout
    assert before == {p: p.read_bytes() for p in (tmp_path / "index").rglob("*") if p.is_file()}

    unasked = run(*command[:3], *place)
    assert "1 added, 1 updated, 0 unchanged, 0 skipped;" in unasked.stdout
    assert "1 documents of files that are gone, or stand twice; --prune" in unasked.stderr
    assert len(ids(setup, tmp_path / "index")) == 3
    pruned = run("index", projects[0], "--prune", *place)  # nothing is left there
    assert "1 removed" in pruned.stdout
    assert "loading" not in pruned.stderr
    assert "nothing is gone" in run("index", projects[0], "--prune", *place).stdout
    assert len(ids(setup, tmp_path / "index")) == 2


def test_an_index_with_ids_of_an_older_release(
    run: Run, setup: Setup, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    """Its documents get their new ids; nothing stands twice, and nothing is read again."""
    index = tmp_path / "index"
    place = ["--index", index, *setup.resident]
    run("index", *projects, *place)
    names = dict(zip(ids(setup, index), ["README.md", "projB/README.md"], strict=True))
    Documents(Index(index, load_card(setup.profile))).rename(names)
    assert ids(setup, index) == ["README.md", "projB/README.md"]
    said = run("index", *projects, "--dry-run", *place)
    assert f"would rename README.md to {projects[0] / 'README.md'}" in said.stdout
    assert "0 added, 0 updated, 2 unchanged, 0 skipped, 2 renamed" in said.stdout
    done = run("index", *projects, *place)
    assert "0 added, 0 updated, 2 unchanged, 0 skipped, 2 renamed; no tokens" in done.stdout
    assert ids(setup, index) == [str(p / "README.md") for p in projects]
    assert run("doctor", "--index", index, "--profile", setup.profile).exit_code == 0


def test_a_ray_cluster_reads_the_same(run: Run, setup: Setup, tmp_path: Path) -> None:
    """One is started and ended; only what is asked for is said, in a process of its own."""
    pytest.importorskip("ray")
    command = ["index", setup.files, "--root", setup.files, "--index", tmp_path / "index"]
    command += [*setup.resident, "--ray", "auto", "--workers", 1]
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # for the paths of sockets
        done = subprocess.run(
            [sys.executable, "-m", "s3_retriever", *map(str, command)],
            env={**os.environ, "RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert "3 added, 0 updated, 0 unchanged, 0 skipped; " in line
    assert "100%" in done.stderr
    for word in ("ray", "warning", "deprecat", "dashboard", "forked"):
        assert word not in done.stderr.lower().replace(str(tmp_path).lower(), "")
    card = load_card(setup.profile)
    found = [Index(folder, card).snapshot.live for folder in (tmp_path / "index", setup.index)]
    assert found[0].keys() == found[1].keys()
    for doc_id in found[0]:
        there, here = (segment.encoded(entry) for segment, entry in (f[doc_id] for f in found))
        assert np.array_equal(there.ids, here.ids)
        assert np.array_equal(there.activations, here.activations)


def test_workers_need_a_cluster(run: Run, setup: Setup, tmp_path: Path) -> None:
    result = run("index", setup.files, "--index", tmp_path, *setup.resident, "--workers", 2)
    assert result.exit_code == 2
    assert "need --ray" in result.stderr
    assert "loading" not in result.stderr


def test_a_change_of_metadata_or_of_a_name_needs_no_model(
    run: Run, setup: Setup, tmp_path: Path
) -> None:
    files = Path(shutil.copytree(setup.files, tmp_path / "files"))
    index = ["--index", tmp_path / "index"]
    assert run("index", files, "--root", files, *index, *setup.resident).exit_code == 0
    files = files.rename(tmp_path / "moved")
    other = [*index, "--profile", setup.profile, "--model", tmp_path / "no-such-model"]
    moved = run("index", files, "--root", files, *other)  # their paths are others now
    assert moved.exit_code == 0, moved.output
    assert "3 updated, 0 unchanged" in moved.stdout
    assert "no tokens to read" in moved.stdout
    assert "3 unchanged" in run("index", files, "--root", files, *other).stdout
    renamed = run("index", files, "--root", tmp_path, *other)
    assert "3 renamed" in renamed.stdout, renamed.output
    assert "moved/bread.md" in run("list", *other[:4]).stdout
    (files / "new.txt").write_text("The mill was built in 1780.")
    assert run("index", files, "--root", files, *other).exit_code == 2
