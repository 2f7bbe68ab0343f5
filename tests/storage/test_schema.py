"""Indexes that former releases wrote still open, say the same, and become the present format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever.errors import IndexMismatchError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact
from s3_retriever.storage.manifest import SCHEMA, Manifest
from s3_retriever.storage.repair import repair
from tests.storage.conftest import code
from tests.storage.test_index import found, put, texts

FIXTURES = sorted((Path(__file__).parents[1] / "data").glob("index-schema-*"))
TEXTS = {
    "roses": "Red roses need water and sun",
    "sky": "The sky turned grey",
    "long": " ".join(f"word{n}" for n in range(150)),
}


@pytest.fixture(params=FIXTURES, ids=lambda p: p.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / "old"))


def test_there_is_one_of_every_schema() -> None:
    assert [p.name for p in FIXTURES] == [f"index-schema-{n + 1}" for n in range(SCHEMA)]


def test_it_opens_and_says_the_same(old: Path, card: ProfileCard) -> None:
    index = Index(old, card)
    assert texts(index) == TEXTS
    assert index.snapshot.live["roses"][1].metadata == {"colour": "red", "year": 2020}
    assert found(index, "word77") == {"long"}
    assert found(index, "blue") == set()
    assert not list(problems(old, card))


def test_the_next_commit_writes_the_present_schema(old: Path, card: ProfileCard) -> None:
    index = Index(old, card)
    put(index, code("new", "violets"), delete=["long"])
    again = Index(old, card)
    assert again.snapshot.manifest.schema_version == SCHEMA
    assert set(texts(again)) == {"roses", "sky", "new"}
    assert found(again, "violets") == {"new"}
    assert not list(problems(old, card))


@pytest.mark.parametrize("change", [compact, lambda i: repair(i.folder, i.card)])
def test_rewriting_it_loses_nothing(
    old: Path, card: ProfileCard, change: Callable[[Index], object]
) -> None:
    index = Index(old, card)
    df = index.snapshot.df
    change(index)
    index.refresh()
    assert texts(index) == TEXTS
    assert (index.snapshot.df == df).all()
    assert found(index, "roses") == {"roses"}
    assert not list(problems(old, card))


def test_a_newer_schema_is_refused_with_the_way_out(old: Path, card: ProfileCard) -> None:
    path = old / "manifest.json"
    record = json.loads(path.read_text()) | {"schema_version": 99, "unheard_of": []}
    record.pop("checksum", None)
    path.write_text(json.dumps(record))
    with pytest.raises(IndexMismatchError, match=rf"99.*{SCHEMA}.*upgrade"):
        Manifest.read(old)


def test_another_profile_is_refused_with_the_way_out(
    old: Path, make_card: Callable[..., ProfileCard]
) -> None:
    with pytest.raises(IndexMismatchError, match=r"test-0.*test-1.*s3-retriever migrate"):
        Index(old, make_card(1))
