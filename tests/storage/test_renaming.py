"""Documents under other ids: all of it or nothing, and nothing is read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s3_retriever.errors import InputError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage import renaming
from s3_retriever.storage.index import Index
from s3_retriever.storage.renaming import rename
from tests.storage.conftest import code
from tests.storage.test_index import found, put, texts


@pytest.fixture
def index(tmp_path: Path, card: ProfileCard) -> Index:
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses", colour="red"), code("b", "blue sky", seed=1))
    put(index, code("c", "black coal", seed=2))
    return index


@pytest.mark.parametrize("at_once", [1, 1 << 18])
def test_the_same_under_another_id(
    index: Index, card: ProfileCard, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(renaming, "_COMMIT_TOKENS", at_once)
    assert rename(index, {"a": "x", "c": "y", "gone": "z", "b": "b"}) == 2
    for again in (index, Index(index.folder, card)):
        assert texts(again) == {"b": "blue sky", "x": "red roses", "y": "black coal"}
        segment, entry = again.snapshot.live["x"]
        assert entry.metadata == {"colour": "red"}
        assert np.array_equal(segment.encoded(entry).ids, code("a", "red roses").ids)
        assert found(again, "roses") == {"x"}


@pytest.mark.parametrize(
    "names", [{"a": "b"}, {"a": "x", "b": "x"}, {"a": "b", "b": "a"}, {"a": ""}, {"a": "\ud800"}]
)
def test_an_id_that_cannot_be_had(index: Index, names: dict[str, str]) -> None:
    before = texts(index)
    with pytest.raises(InputError):
        rename(index, names)
    assert texts(index) == before
