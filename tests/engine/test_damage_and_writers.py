"""Writers meet damage: it is told by name, ends no process, and is never written anew as sound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.checksums import sha256_of
from s3_retriever.errors import IndexStorageError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.check import problems
from s3_retriever.storage.repair import repair
from tests.damage import overwrite
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture(scope="module")
def llm() -> TransformersModel:
    return tiny_llm()


@pytest.fixture
def profile(tmp_path: Path, llm: TransformersModel) -> Profile:
    return Profile.load(write_profile(tmp_path / "profile", llm))


def written(folder: Path, llm: TransformersModel, profile: Profile) -> Path:
    engine = Engine(llm, profile, folder)
    engine.add([Document(f"{i}", f"Text {i}. {TEXT}") for i in range(3)])
    engine.delete("1")
    return folder


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    overwrite(path, bytes(content))


KINDS = ("fast", "fieldnorm", "idx", "pos", "store", "term", "del", "meta.json", ".managed.json")


@pytest.mark.parametrize("kind", KINDS)
def test_no_writer_opens_a_damaged_search_part(
    tmp_path: Path, llm: TransformersModel, profile: Profile, kind: str
) -> None:
    folder = written(tmp_path / "index", llm, profile)
    for path in (folder / "tantivy").iterdir():
        if path.name.endswith(kind):
            flip(path)
    try:
        engine = Engine(llm, profile, folder)
    except IndexStorageError as e:
        assert "doctor" in str(e)
    else:
        for change in (
            lambda: engine.add([Document("new", TEXT)]),
            lambda: engine.delete("0"),
            lambda: engine.update_metadata({"0": {"a": 1}}),
            engine.compact,
            lambda: engine.snapshot(tmp_path / "copy"),
        ):
            with pytest.raises(IndexStorageError, match="doctor"):
                change()
        assert sorted(engine.ids()) == ["0", "2"]
    repair(folder, profile.card)
    assert not list(problems(folder, profile.card))
    Engine(llm, profile, folder).add([Document("new", TEXT)])


def test_a_file_that_is_gone(tmp_path: Path, llm: TransformersModel, profile: Profile) -> None:
    folder = written(tmp_path / "index", llm, profile)
    engine = Engine(llm, profile, folder)
    next((folder / "tantivy").glob("*.fieldnorm")).unlink()
    with pytest.raises(IndexStorageError, match="doctor"):
        engine.delete("0")


def test_files_are_read_once_a_process(
    tmp_path: Path, llm: TransformersModel, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(llm, profile, written(tmp_path / "index", llm, profile))
    engine.delete("0")
    old = {path.name for path in (tmp_path / "index" / "tantivy").iterdir()}
    read: list[str] = []

    def noting(path: Path) -> str:
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr("s3_retriever.storage.search_record.sha256_of", noting)
    engine.add([Document("new", TEXT)])
    assert not (set(read) & old) - {"meta.json", ".managed.json"}
    flip(next((tmp_path / "index" / "tantivy").glob("*.term")))  # another file in its place
    with pytest.raises(IndexStorageError, match="doctor"):
        engine.delete("2")


@pytest.mark.parametrize("change", ["compact", "update_metadata", "rename"])
def test_damaged_codes_are_not_written_anew(
    tmp_path: Path, llm: TransformersModel, profile: Profile, change: str
) -> None:
    """They would have got a digest that fits, and doctor could not see them any more."""
    folder = written(tmp_path / "index", llm, profile)
    (path,) = (folder / "segments").glob("*.safetensors")
    engine = Engine(llm, profile, folder)
    segment, entry = engine.index.snapshot.live["2"]
    piece = segment.activations[slice(*entry.tokens)].tobytes()
    content = bytearray(path.read_bytes())
    content[content.find(piece) + 5] ^= 1
    overwrite(path, bytes(content))
    engine = Engine(llm, profile, folder)
    with pytest.raises(IndexStorageError, match=r"codes of document '2'.*doctor"):
        if change == "compact":
            engine.compact()
        elif change == "update_metadata":
            engine.update_metadata({"2": {"a": 1}})
        else:
            engine.documents.rename({"2": "two"})
    assert any("codes lost: 2" in problem for problem in problems(folder, profile.card))


def run(tmp_path: Path, first: int, last: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.damage_child", str(tmp_path), str(first), str(last)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_flipped_bytes_end_no_process(tmp_path: Path) -> None:
    run(tmp_path, 0, 24)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_more_flipped_bytes_end_no_process(tmp_path: Path, part: int) -> None:
    run(tmp_path, 1000 + 40 * part, 1040 + 40 * part)
