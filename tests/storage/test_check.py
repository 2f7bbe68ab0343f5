"""Doctor: every changed byte is noticed, and what is affected is told and repaired."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.errors import IndexMismatchError, IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.check import damages, problems
from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.repair import repair
from s3_retriever.storage.segments import Segment
from s3_retriever.types import Document, EncodedDocument
from tests.damage import overwrite
from tests.storage.conftest import N_LATENTS, code, random_card
from tests.storage.test_index import found, put, texts

TEXTS = {
    "roses": "Red roses need water and sun",
    "sky": "The sky is blue because of scattering",
    "coal": "Black coal burns for a long time",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments, one with a deleted document; tests must not change it."""
    folder = tmp_path_factory.mktemp("sound") / "index"
    index = Index(folder, random_card())
    put(index, *(code(i, text, seed=n) for n, (i, text) in enumerate(TEXTS.items())))
    put(index, code("gone", "Nobody reads this"), code("new", "Violets are violet", colour="v"))
    put(index, delete=["gone"])
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "index"))


def files_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)


def flip(path: Path, place: int, by: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= by
    overwrite(path, bytes(content))


def alarms(folder: Path, card: ProfileCard) -> list[str]:
    try:
        return list(problems(folder, card))
    except IndexStorageError as e:
        return [str(e)]


@given(data=st.data(), by=st.integers(1, 255))
@settings(max_examples=150)
def test_any_flipped_byte_is_noticed(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, by: int
) -> None:
    """And what is read of the index without asking doctor is the right text, or an error."""
    folder = Path(shutil.copytree(sound, tmp_path_factory.mktemp("flip") / "index"))
    card = random_card()
    assert not alarms(folder, card)
    path = data.draw(st.sampled_from(files_of(folder)))
    flip(path, data.draw(st.integers(0, path.stat().st_size - 1)), by)
    assert alarms(folder, card), path
    right = TEXTS | {"new": "Violets are violet"}
    try:
        snapshot = Index(folder, card).snapshot
        for doc_id, (segment, entry) in snapshot.live.items():
            assert segment.text(entry) == right[doc_id]
    except IndexStorageError:
        pass
    # a thread of Tantivy's looks at an index that was just opened once, and makes its lock then
    shutil.rmtree(folder.parent, ignore_errors=True)


@pytest.mark.parametrize("name", ["search.json", "manifest.json", "manifest.copy.json"])
def test_bytes_all_over_the_small_files(folder: Path, card: ProfileCard, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        flip(path, place, by=0x20)  # also turns upper case into lower, and space into NUL
        if name == "search.json":
            found_ = IndexFolder(folder).search_record.problems(Manifest.read(folder))
            assert list(found_), place
        else:
            with pytest.raises(IndexStorageError):
                Manifest.read(folder, name=name)
        overwrite(path, whole)


def place_of(folder: Path, piece: bytes) -> tuple[Path, int]:
    """Where in the segments some bytes lie."""
    for path in sorted((folder / "segments").glob("*.safetensors")):
        if (place := path.read_bytes().find(piece)) >= 0:
            return path, place
    raise AssertionError(piece)


def test_damage_is_located(folder: Path, card: ProfileCard) -> None:
    flip(*place_of(folder, b"because of"))
    (damage,) = damages(IndexFolder(folder), Manifest.read(folder))
    assert damage.statuses == {"roses": "whole", "sky": "lost", "coal": "whole"}
    assert "lost: sky; 2 of its documents are whole" in str(damage)
    index = Index(folder, card)
    with pytest.raises(IndexStorageError, match=r"'sky'.*doctor"):
        index.snapshot.live["sky"][0].text(index.snapshot.live["sky"][1])


def test_lost_codes_are_told_from_lost_text(folder: Path, card: ProfileCard) -> None:
    codes = code("coal", TEXTS["coal"], seed=2).activations.tobytes()
    flip(*place_of(folder, codes))
    (damage,) = damages(IndexFolder(folder), Manifest.read(folder))
    assert damage.statuses == {"roses": "whole", "sky": "whole", "coal": "codes lost"}


def test_documents_are_known_though_the_file_is_not(folder: Path, card: ProfileCard) -> None:
    first, second = sorted((folder / "segments").glob("*.safetensors"))
    first.unlink()
    overwrite(second, b"nonsense" + second.read_bytes()[8:])
    one, two = damages(IndexFolder(folder), Manifest.read(folder))
    assert one.statuses == dict.fromkeys(TEXTS, "lost")
    assert two.statuses == {"new": "lost"}


def test_repair_keeps_reads_again_and_names_the_lost(folder: Path, card: ProfileCard) -> None:
    flip(*place_of(folder, b"because of"))
    flip(*place_of(folder, code("coal", TEXTS["coal"], seed=2).ids.tobytes()))
    asked: list[Document] = []

    def rescan(documents: list[Document]) -> Iterator[EncodedDocument]:
        asked.extend(documents)
        return (code(d.id, d.text, seed=2) for d in documents)

    report = repair(folder, card, rescan)
    assert (report.kept, report.rescanned, report.lost) == (("roses",), ("coal",), ("sky",))
    assert [d.text for d in asked] == [TEXTS["coal"]]  # nothing else was read again
    again = Index(folder, card)
    assert list(texts(again)) == ["roses", "coal", "new"]  # in the order of before
    assert found(again, "coal") == {"coal"}
    assert found(again, "sky") == set()
    assert not list(problems(folder, card))
    assert len(list((folder / "damaged").iterdir())) == 1


def test_without_the_model_lost_codes_count_as_lost(folder: Path, card: ProfileCard) -> None:
    flip(*place_of(folder, code("coal", TEXTS["coal"], seed=2).ids.tobytes()))
    assert repair(folder, card).lost == ("coal",)


def test_a_damaged_listing_is_taken_from_beside_it(folder: Path, card: ProfileCard) -> None:
    flip(*place_of(folder, b'"first_block"'))
    with pytest.raises(IndexStorageError, match="doctor"):
        Index(folder, card)
    assert repair(folder, card).kept == tuple(TEXTS)
    assert set(texts(Index(folder, card))) == {*TEXTS, "new"}
    assert not list(problems(folder, card))


def test_a_lost_search_part_is_built_anew(folder: Path, card: ProfileCard) -> None:
    shutil.rmtree(folder / "tantivy")
    with pytest.raises(IndexStorageError, match="doctor --repair"):
        Index(folder, card)
    assert alarms(folder, card)
    repair(folder, card)
    again = Index(folder, card)
    assert found(again, "roses") == {"roses"}
    assert found(again, "nobody") == set()
    assert not list(problems(folder, card))


def test_an_open_index_goes_on_after_repair_by_others(folder: Path, card: ProfileCard) -> None:
    index = Index(folder, card)
    repair(folder, card)
    index.refresh()
    assert found(index, "roses") == {"roses"}
    put(index, code("more", "green grass"))
    assert found(Index(folder, card), "grass") == {"more"}


def test_codes_and_offsets_that_fit_nothing() -> None:
    """Their checksums may be right, if somebody crafted them."""
    sound = Segment.build("s", [code("a", "some text")], N_LATENTS)
    assert sound.fits(sound.entries[0], N_LATENTS)
    latent = code("a", "some text")
    latent.ids[0, 0, 0] = N_LATENTS
    beyond = code("a", "some text")
    beyond.ends[-1] += 1
    backwards = code("a", "some text")
    backwards.starts[0] = 6
    for bad in (latent, beyond, backwards):
        segment = Segment.build("s", [bad], 2 * N_LATENTS)
        assert not segment.fits(segment.entries[0], N_LATENTS)


def test_repair_asks_for_the_right_profile(folder: Path) -> None:
    with pytest.raises(IndexMismatchError):
        repair(folder, random_card(1))


def test_what_tantivy_removes_in_its_own_time_is_no_damage(
    tmp_path: Path, card: ProfileCard
) -> None:
    """Files of merged segments go while, or after, the record of all files is written."""
    folder = tmp_path / "index"
    index = Index(folder, card)
    put(index, code("a", "green grass"))
    search = folder / "tantivy"
    managed, merged = search / ".managed.json", search / f"{'0' * 32}.fast"
    left = managed.read_bytes()
    merged.write_bytes(b"of a segment that is no more")
    managed.write_text(json.dumps([*json.loads(left), merged.name]))
    IndexFolder(folder).search_record.write(index.snapshot.manifest)
    merged.unlink()
    managed.write_bytes(left)
    assert not list(problems(folder, card))
    put(Index(folder, card), code("b", "blue sky"))
    assert not list(problems(folder, card))
    managed.write_text(json.dumps([*json.loads(managed.read_bytes()), "f" * 32 + ".fast"]))
    (found,) = problems(folder, card)
    assert "managed.json is damaged" in found
    with pytest.raises(IndexStorageError, match="doctor"):
        put(Index(folder, card), code("c", "red rose"))
