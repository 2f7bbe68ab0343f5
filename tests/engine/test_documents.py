"""Adding, replacing, deleting documents with the real model; bad documents; reopening."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever import Document, Engine
from s3_retriever.errors import IndexStorageError, InputError, ProfileError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.validation import is_blank
from tests.engine.conftest import DOCUMENTS, HARD_TEXTS


def test_life_of_a_document(fresh: Engine) -> None:
    report = fresh.add(DOCUMENTS)
    assert set(report.added) == {"lighthouse", "bread", "comet"}
    assert report.tokens_scanned == sum(fresh.llm.count_tokens(d.text) for d in DOCUMENTS)

    again = fresh.add(DOCUMENTS)
    assert set(again.unchanged) == {"lighthouse", "bread", "comet"}
    assert again.tokens_scanned == 0

    moved = Document("bread", DOCUMENTS[1].text, {"kind": "craft"})
    report = fresh.add([moved])
    assert report.updated == ("bread",)
    assert report.tokens_scanned == 0  # only the metadata changed
    assert fresh.get("bread") == moved
    assert fresh.retrieve("What makes dough rise?", filter={"kind": "craft"})

    report = fresh.add([Document("bread", "Rye bread is dark.")])
    assert report.updated == ("bread",)
    assert report.tokens_scanned > 0
    assert not any("yeast" in s.text for s in fresh.retrieve("What makes dough rise?"))

    assert fresh.delete(["bread", "nothing"]) == 1
    assert fresh.get("bread") is None
    assert sorted(fresh.ids()) == ["comet", "lighthouse"]
    assert len(fresh) == 2


def test_reopened_index_answers_alike(fresh: Engine) -> None:
    fresh.add([*DOCUMENTS, *(Document(n, t) for n, t in HARD_TEXTS.items())])
    fresh.delete(["tiny"])
    again = Engine(fresh.llm, fresh.profile, fresh.index.folder)
    question = "Who was the last keeper of the lighthouse?"
    assert again.retrieve(question) == fresh.retrieve(question)
    assert again.info()["documents"] == fresh.info()["documents"] == len(HARD_TEXTS) + 2


def test_an_open_engine_sees_another_writer(fresh: Engine) -> None:
    reader = Engine(fresh.llm, fresh.profile, fresh.index.folder)
    fresh.add(DOCUMENTS[:1])
    assert reader.retrieve("Who was the last keeper?")


def test_plain_strings_get_an_id_of_their_contents(fresh: Engine) -> None:
    fresh.add(["Plain text.", "Plain text.", "Another."])
    assert len(fresh) == 2


BAD = {
    "binary": Document("bad", "PK\x03\x04\x00\x00data"),
    "surrogate": Document("bad", "half \ud83d a pair"),
    "bytes": Document("bad", b"bytes"),  # type: ignore[arg-type]
    "no id": Document("", "text"),
    "id not a string": Document(7, "text"),  # type: ignore[arg-type]
    "metadata": Document("bad", "text", {"when": object()}),
    "infinity": Document("bad", "text", {"x": float("inf")}),
    "nested deep": Document("bad", "text", {"x": json.loads("[" * 900 + "]" * 900)}),
    "no document": 42,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_spoils_nothing(fresh: Engine, name: str) -> None:
    bad: Any = BAD[name]
    with pytest.raises(InputError):
        fresh.add([bad])
    assert len(fresh) == 0
    with pytest.raises(InputError):
        fresh.add([DOCUMENTS[0], bad], on_error="raise")
    assert len(fresh) == 0
    report = fresh.add([DOCUMENTS[0], bad])
    assert report.added == ("lighthouse",)
    assert len(report.skipped) == 1
    assert fresh.ids() == ["lighthouse"]


ROW = {
    "year": np.int64(1887),
    "height": float("nan"),
    "price": Decimal("9.5"),
    "key": uuid.UUID(int=7),
    "file": PurePosixPath("a/b.txt"),
    "tags": {"tall", "old"},
    "seen": np.datetime64("1995-05-01"),
    "open": np.False_,
}
KEPT = {
    "year": 1887,
    "height": None,
    "price": 9.5,
    "key": "00000000-0000-0000-0000-000000000007",
    "file": "a/b.txt",
    "tags": ["old", "tall"],
    "seen": "1995-05-01",
    "open": False,
}


def test_no_row_vanishes(fresh: Engine) -> None:
    rows = [Document(str(n), f"Text {n}.", {**ROW, "n": np.int8(n)}) for n in range(5)]
    report = fresh.add(rows)
    assert report.ids == report.added == tuple("01234")
    assert not report.skipped
    for n in range(5):
        found = fresh.get(str(n))
        assert found is not None
        assert found.metadata == {**KEPT, "n": n}
    assert fresh.add(rows).unchanged == report.ids
    assert fresh.ids({"n": {"$gte": np.int64(3)}}) == ["3", "4"]
    assert fresh.ids({"file": ROW["file"], "seen": ROW["seen"], "price": ROW["price"]}) == [
        *report.ids
    ]
    assert fresh.delete_where({"open": {"$ne": np.False_}}) == 0
    reopened = Engine(fresh.llm, fresh.profile, fresh.index.folder)
    assert reopened.get("4") == fresh.get("4")


def test_ids_line_up_with_what_was_given(fresh: Engine) -> None:
    bad = Document("bad", "text", {"what": object()})
    given = ["Plain text.", bad, DOCUMENTS[0], " ", "Plain text.", Document("", "No id.")]
    report = fresh.add(given)
    assert [i is None for i in report.ids] == [False, True, False, True, False, True]
    assert report.ids[0] == report.ids[4]
    assert report.ids[2] == "lighthouse"
    assert "field 'what'" in report.skipped["bad"]
    for doc_id, document in zip(report.ids, given, strict=True):
        if doc_id is not None:
            found = fresh.get(doc_id)
            assert found is not None
            assert found.text == (document if isinstance(document, str) else document.text)
    with pytest.raises(InputError, match=r"document bad: .*field 'what'"):
        fresh.add([DOCUMENTS[1], bad], on_error="raise")
    assert "bread" not in fresh
    with pytest.raises(InputError, match="on_error"):
        fresh.add(DOCUMENTS, on_error="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("metadata", [{"a": json.loads("[" * 100 + "]" * 100)}, {"a": {5: 1}}])
def test_new_metadata_go_through_the_same_door(fresh: Engine, metadata: dict[str, Any]) -> None:
    fresh.add(DOCUMENTS)
    with pytest.raises(InputError, match=r"document comet: .*metadata"):
        fresh.update_metadata({"bread": {}, "comet": metadata})
    assert fresh.get("bread") == DOCUMENTS[1]
    fresh.update_metadata({"bread": ROW})
    found = fresh.get("bread")
    assert found is not None
    assert found.metadata == KEPT


def test_nothing_to_add(fresh: Engine) -> None:
    with pytest.raises(InputError, match="no documents"):
        fresh.add([])


def test_segments_are_committed_as_they_fill(llm: TransformersModel, profile: Profile) -> None:
    engine = Engine(llm, profile, scan=ScanSettings(segment_tokens=50))
    engine.add(DOCUMENTS)
    assert len(engine.index.snapshot.segments) == 3
    assert len(engine.retrieve("What happened in 1902?", max_tokens=None)) > 1


def test_interrupted_add_keeps_what_was_read(
    llm: TransformersModel, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = ScanSettings(segment_tokens=50, batch_tokens=64)  # a document a forward pass
    engine = Engine(llm, profile, scan=scan)
    engine.add(DOCUMENTS[:1])

    def interrupt(tokens: int, characters: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.add(DOCUMENTS[1:], on_progress=interrupt)
    assert len(engine) == 2  # the one before, and the first that was read
    assert engine.ids()[0] == "lighthouse"
    report = engine.add(DOCUMENTS)  # and it goes on
    assert (len(report.added), len(report.unchanged)) == (1, 2)


def test_progress_counts_every_token_and_character(fresh: Engine) -> None:
    seen: list[tuple[int, int]] = []
    report = fresh.add(DOCUMENTS, on_progress=lambda t, c: seen.append((t, c)))
    assert sum(t for t, _ in seen) == report.tokens_scanned
    assert sum(c for _, c in seen) == sum(len(d.text) for d in DOCUMENTS)


def test_another_models_profile_is_refused(llm: TransformersModel, profile: Profile) -> None:
    card = profile.card.model_copy(update={"n_layers": 32, "model": "some/other"})
    with pytest.raises(ProfileError, match="some/other"):
        Engine(llm, Profile(card, profile.saes))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=120))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_comes_back_exactly(llm: TransformersModel, profile: Profile, text: str) -> None:
    engine = Engine(llm, profile)
    report = engine.add([Document("d", text)])
    if is_blank(text):
        assert list(report.skipped) == ["d"]
        return
    document = engine.get("d")
    assert document is not None
    assert document.text == text
    for span in engine.retrieve("What is this?", max_tokens=30):
        assert text[span.start : span.end] == span.text


def test_a_copy_holds_the_same_and_reads_nothing_again(fresh: Engine, tmp_path: Path) -> None:
    fresh.add(DOCUMENTS)
    fresh.delete(["bread"])
    fresh.snapshot(tmp_path / "copy")
    copy = Engine(fresh.llm, fresh.profile, tmp_path / "copy")
    assert copy.ids() == fresh.ids() == ["lighthouse", "comet"]
    assert copy.get("comet") == fresh.get("comet")
    question = "When was the lighthouse finished?"
    assert copy.retrieve(question) == fresh.retrieve(question)
    assert copy.add([fresh.get("comet")]).tokens_scanned == 0
    with pytest.raises(IndexStorageError, match="is not empty"):
        fresh.snapshot(tmp_path / "copy")


def test_ids_of_a_filter(engine: Engine) -> None:
    assert engine.ids({"year": {"$gte": 1900}}) == ["bread", "comet"]
    assert "comet" in engine
    assert "nothing" not in engine
