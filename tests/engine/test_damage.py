"""Damage that is met while searching is an error with a name, whichever byte it hit."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever import Document, Engine, RetrieveSettings
from s3_retriever.errors import EndogenousError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.check import problems
from tests.damage import overwrite
from tests.tiny import TEXT, tiny_llm, write_profile

QUESTION = "When was the lighthouse lamp finished?"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TransformersModel, Profile]:
    folder = tmp_path_factory.mktemp("damage")
    llm = tiny_llm()
    profile = Profile.load(write_profile(folder / "p", llm))
    engine = Engine(llm, profile, folder / "i")
    for n in range(3):
        engine.add([Document(f"{n}-{i}", f"Text {i}. {TEXT}", {"n": i}) for i in range(3)])
    engine.delete("1-1")
    return folder / "i", llm, profile


def flip(content: bytearray, at: int, source: random.Random) -> None:
    content[at] ^= 1 << source.randrange(8)


def replaced(content: bytearray, at: int, source: random.Random) -> None:
    content[at] = source.randrange(256)


def cut(content: bytearray, at: int, source: random.Random) -> None:
    del content[at:]


def blank(content: bytearray, at: int, source: random.Random) -> None:
    content[at : at + 64] = bytes(len(content[at : at + 64]))


def ones(content: bytearray, at: int, source: random.Random) -> None:
    content[at : at + 64] = b"\xff" * len(content[at : at + 64])


def looked_at(folder: Path, llm: TransformersModel, profile: Profile) -> None:
    """Everything that reads, each of which may say that something is damaged."""
    try:
        engine = Engine(llm, profile, folder)
    except EndogenousError:
        return
    narrow = RetrieveSettings.model_validate({"candidates": {"cover": 0}})
    todo: list[Callable[[], object]] = [
        *(
            lambda mode=mode, s=s: engine.retrieve(QUESTION, mode=mode, settings=s, max_tokens=60)
            for mode in ("hybrid", "features", "bm25")
            for s in (None, narrow)
        ),
        lambda: engine.retrieve(QUESTION, filter={"n": 1}, scoring="coactivation", mode="fast"),
        lambda: engine.why_not(QUESTION, "0-0"),
        lambda: engine.read_document(QUESTION, "2-2"),
        lambda: [engine.get(i) for i in engine.ids()],
        lambda: engine.ids({"n": 1}),
        engine.info,
        lambda: engine.export_bundle(folder.parent / "bundle"),
    ]
    for call in todo:
        with contextlib.suppress(EndogenousError):
            call()


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("kind", [flip, replaced, cut, blank, ones])
def test_a_changed_file(
    written: tuple[Path, TransformersModel, Profile],
    tmp_path: Path,
    kind: Callable[[bytearray, int, random.Random], None],
    seed: int,
) -> None:
    folder, llm, profile = written
    source = random.Random(f"{kind.__name__} {seed}")
    shutil.copytree(folder, tmp_path / "i")
    files = sorted(p for p in (tmp_path / "i").rglob("*") if p.is_file() and p.stat().st_size)
    segments = [p for p in files if p.suffix == ".safetensors"]
    path = source.choice(segments if seed % 2 else files)
    content = bytearray(path.read_bytes())
    kind(content, source.randrange(len(content)), source)
    overwrite(path, bytes(content))
    with contextlib.suppress(EndogenousError):
        list(problems(tmp_path / "i", profile.card))
    looked_at(tmp_path / "i", llm, profile)


@pytest.mark.parametrize("name", ["block", "document", "words", "features", "segment", "text"])
def test_a_changed_letter_in_what_the_search_part_says_of_its_fields(
    tmp_path: Path, written: tuple[Path, TransformersModel, Profile], name: str
) -> None:
    """Tantivy opens it, and then a field is empty or unknown."""
    folder, llm, profile = written
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    meta = copy / "tantivy" / "meta.json"
    text = meta.read_text(encoding="utf-8")
    meta.write_text(text.replace(f'"{name}"', f'"{name[:-1]}q"'), encoding="utf-8")
    looked_at(copy, llm, profile)
    with contextlib.suppress(EndogenousError):
        engine = Engine(llm, profile, copy)
        for mode in ("hybrid", "fast", "features", "bm25"):
            with contextlib.suppress(EndogenousError):
                engine.retrieve(QUESTION, mode=mode)
