"""An index knows the weights its codes were read with, and takes no codes of others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage import maintenance
from s3_retriever.storage.bundle import export_bundle, import_bundle
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.repair import repair
from tests.storage.conftest import code, random_profile

CARD = random_profile().card
OURS, THEIRS = "a" * 64, "b" * 64
OLD = sorted((Path(__file__).parents[1] / "data").glob("index-schema-[12]"))


def put(index: Index, doc_id: str) -> None:
    with index.writing():
        index.commit([code(doc_id, "red roses")])


def recorded(folder: Path) -> str | None:
    manifest = Manifest.read(folder)
    assert manifest is not None
    return manifest.weights


def made(folder: Path, weights: str | None = OURS, card: ProfileCard = CARD) -> Path:
    put(Index(folder, card, weights), "a")
    return folder


def test_others_are_refused_with_both_sides_and_the_way_out(tmp_path: Path) -> None:
    made(tmp_path / "i")
    assert Index(tmp_path / "i", CARD, OURS).weights == OURS
    with pytest.raises(IndexMismatchError) as caught:
        Index(tmp_path / "i", CARD, THEIRS)
    for part in ("other weights of test/model", OURS[:12], THEIRS[:12], "s3-retriever migrate"):
        assert part in str(caught.value)


def test_what_needs_no_model_leaves_them(tmp_path: Path) -> None:
    folder = made(tmp_path / "i")
    index = Index(folder, CARD)
    assert index.weights == OURS
    put(index, "b")
    assert maintenance.update_metadata(index, {"a": {"lang": "en"}}) == 1
    assert maintenance.delete(index, ["b"]) == 1
    maintenance.compact(index)
    assert recorded(folder) == OURS
    maintenance.snapshot(index, tmp_path / "copy")
    assert recorded(tmp_path / "copy") == OURS
    repair(folder, CARD)
    assert recorded(folder) == OURS


@pytest.mark.parametrize("source", OLD, ids=lambda p: p.name)
def test_an_older_index_gets_them_with_the_next_commit(source: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "old"))
    index = Index(folder, CARD, OURS)
    assert (index.weights, recorded(folder)) == (OURS, None)  # nothing is written by opening
    put(index, "new")
    manifest = Manifest.read(folder)
    assert manifest is not None
    assert (manifest.weights, manifest.fingerprint) == (OURS, CARD.fingerprint)
    with pytest.raises(IndexMismatchError):
        Index(folder, CARD, THEIRS)


def test_a_reader_sees_what_somebody_else_recorded(tmp_path: Path) -> None:
    folder = made(tmp_path / "i", None)
    reader = Index(folder, CARD)
    assert reader.weights is None
    put(Index(folder, CARD, OURS), "b")
    reader.refresh()
    assert reader.weights == OURS


def test_an_index_in_memory_is_written_with_them(tmp_path: Path) -> None:
    index = Index(None, CARD, OURS)
    put(index, "a")
    maintenance.snapshot(index, tmp_path / "copy")
    assert recorded(tmp_path / "copy") == OURS


def bundle(folder: Path, weights: str | None) -> Path:
    index = Index(None, CARD, weights)
    put(index, "of the bundle")
    export_bundle(index, folder / "bundle")
    return folder / "bundle"


def test_a_bundle_of_others_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "i")
    for index in (Index(folder, CARD, OURS), Index(folder, CARD)):  # with a model and without
        with pytest.raises(IndexMismatchError, match=r"bundle was made with other weights"):
            import_bundle(index, bundle(tmp_path, THEIRS))
        assert list(index.snapshot.live) == ["a"]


@pytest.mark.parametrize("weights", [OURS, None])
def test_a_bundle_of_the_same_or_of_older_releases_is_not(
    tmp_path: Path, weights: str | None
) -> None:
    folder = made(tmp_path / "i")
    import_bundle(Index(folder, CARD, OURS), bundle(tmp_path, weights))
    assert recorded(folder) == OURS


def test_a_new_index_has_those_of_its_first_bundle(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    import_bundle(Index(folder, CARD), bundle(tmp_path, OURS))
    assert recorded(folder) == OURS


def test_they_are_a_digest_or_nothing(tmp_path: Path) -> None:
    folder = made(tmp_path / "i")
    record = json.loads((folder / "manifest.json").read_text())
    del record["checksum"]
    assert Manifest.parse(json.dumps(record | {"schema_version": 1}).encode(), folder)
    with pytest.raises(IndexStorageError, match="weights"):
        Manifest.parse(json.dumps(record | {"weights": "../x"}).encode(), folder)
