"""Links, files of others, manifests of others: refused or set aside, never followed or deleted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever.errors import IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.bundle import export_bundle, import_bundle
from s3_retriever.storage.check import problems
from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact, snapshot
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.namespaces import namespace_folder, namespaces_in
from s3_retriever.storage.repair import repair
from tests.storage.conftest import code, random_card
from tests.storage.test_index import found, put, texts

posix = pytest.mark.skipif(os.name != "posix", reason="links are not for everybody elsewhere")


@pytest.fixture
def folder(tmp_path: Path, card: ProfileCard) -> Path:
    """Two segments, and a deleted document."""
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses"), code("b", "blue sky"))
    put(index, code("c", "black coal"), delete=["b"])
    return tmp_path / "index"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of somebody else, with names that an index has, too."""
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("thesis.tex", "00000009-0a0b0c0d.safetensors", "meta.json", "x.tmp", "writer.txt"):
        (victim / name).write_text(f"mine: {name}")
    return victim


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def attempts(folder: Path, card: ProfileCard, index: Index | None) -> list[Callable[[], object]]:
    """All that reads or writes an index; ``index`` was opened before it became what it is."""
    fresh = folder.parent
    tries: list[Callable[[], object]] = [
        lambda: put(Index(folder, card), code("new", "green grass")),
        lambda: list(problems(folder, card)),
        lambda: compact(Index(folder, card)),
        lambda: snapshot(Index(folder, card), fresh / "copy"),
        lambda: repair(folder, card),
    ]
    if index is not None:
        tries += [lambda: put(index, code("new", "green grass")), lambda: compact(index)]
        tries += [lambda: snapshot(index, fresh / "copy2")]
    return tries


FOLDERS = ["segments", "damaged", "tantivy", "tantivy-00000007", "namespaces"]


@posix
@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("opened", [True, False], ids=["open", "closed"])
def test_a_folder_that_is_a_link(
    folder: Path, victim: Path, card: ProfileCard, name: str, opened: bool
) -> None:
    index = Index(folder, card) if opened else None
    if (folder / name).exists():
        (folder / name).rename(folder.parent / f"own-{name}")
    (folder / name).symlink_to(victim)
    before = contents(victim)
    for attempt in attempts(folder, card, index):
        with pytest.raises(IndexStorageError, match="is a link"):
            attempt()
        assert contents(victim) == before
    assert not (folder.parent / "copy").exists()


FILES = [
    "manifest.json",
    "manifest.copy.json",
    "search.json",
    "writer.lock",
    "writer.txt",
    "writer.journal",
    "segments/SEGMENT.safetensors",
    "segments/SEGMENT.json",
    "tantivy/meta.json",
    "tantivy/.managed.json",
    "tantivy/.tantivy-writer.lock",
]


@posix
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("opened", [True, False], ids=["open", "closed"])
def test_a_file_that_is_a_link(
    folder: Path, victim: Path, card: ProfileCard, name: str, opened: bool
) -> None:
    """To its own contents, even: a snapshot would copy what is not the index's."""
    index = Index(folder, card) if opened else None
    segment = next((folder / "segments").glob("*.safetensors")).stem
    place = folder / name.replace("SEGMENT", segment)
    if place.exists():
        place.rename(victim / "thesis.tex")
    place.symlink_to(victim / "thesis.tex")
    before = contents(victim)
    for attempt in attempts(folder, card, index):
        with pytest.raises(IndexStorageError, match="is a link"):
            attempt()
        assert contents(victim) == before


@posix
@pytest.mark.parametrize("name", ["manifest.json", "search.json", "manifest.copy.json"])
def test_what_is_written_before_a_rename_is_a_link(
    folder: Path, victim: Path, card: ProfileCard, name: str
) -> None:
    """The index's own temporary file: whoever put a link there loses the link."""
    (folder / f"{name}.tmp").symlink_to(victim / "thesis.tex")
    before = contents(victim)
    put(Index(folder, card), code("new", "green grass"))
    assert contents(victim) == before
    assert not list(problems(folder, card))


@posix
@pytest.mark.parametrize("name", ["writer.txt", "writer.lock", "tantivy/.tantivy-writer.lock"])
def test_a_second_name_of_somebodys_file(
    folder: Path, victim: Path, card: ProfileCard, name: str
) -> None:
    (folder / name).unlink(missing_ok=True)
    os.link(victim / "thesis.tex", folder / name)
    before = contents(victim)
    with pytest.raises(IndexStorageError, match="second name"):
        put(Index(folder, card), code("new", "green grass"))
    assert contents(victim) == before


@posix
def test_a_copy_of_hard_links_is_an_index(folder: Path, card: ProfileCard) -> None:
    """As ``cp -al`` makes for a backup: what is written once may have two names."""
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy, copy_function=os.link)
    before = contents(copy)
    put(Index(folder, card), code("new", "green grass"), delete=["a"])
    assert contents(copy) == before
    assert texts(Index(copy, card)) == {"a": "red roses", "c": "black coal"}


@posix
@pytest.mark.parametrize("name", ["manifest.json", "search.json", "writer.txt"])
def test_a_pipe_is_not_waited_for(folder: Path, card: ProfileCard, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(IndexStorageError, match="no plain file"):
        put(Index(folder, card), code("new", "green grass"))


@posix
def test_the_index_itself_may_be_a_link(folder: Path, card: ProfileCard) -> None:
    (folder.parent / "link").symlink_to(folder)
    put(Index(folder.parent / "link", card), code("new", "green grass"))
    assert found(Index(folder, card), "grass") == {"new"}


@posix
@pytest.mark.parametrize("which", ["namespaces", "namespaces/a"])
def test_a_namespace_elsewhere(folder: Path, victim: Path, card: ProfileCard, which: str) -> None:
    shutil.copytree(folder, victim / "a")
    (folder / which).parent.mkdir(exist_ok=True)
    (folder / which).symlink_to(victim if which == "namespaces" else victim / "a")
    before = contents(victim)
    with pytest.raises(IndexStorageError, match="is a link"):
        namespaces_in(folder)
    with pytest.raises(IndexStorageError, match="is a link"):
        Index(namespace_folder(folder, "a"), card)
    assert contents(victim) == before


@pytest.mark.parametrize("name", ["../../victim/thesis.tex", "/etc/passwd", "..", "notes.txt", 3])
def test_tantivys_list_of_files_names_others(
    folder: Path, victim: Path, card: ProfileCard, name: object
) -> None:
    """Tantivy deletes what this list holds and no commit of it needs."""
    (folder / "tantivy" / "notes.txt").write_text("mine")
    listed = folder / "tantivy" / ".managed.json"
    listed.write_text(json.dumps([*json.loads(listed.read_text()), name]))
    before = contents(victim)
    with pytest.raises(IndexStorageError, match=r"managed\.json.*doctor --repair"):
        put(Index(folder, card), code("new", "green grass"))
    repair(folder, card)
    put(Index(folder, card), code("new", "green grass"))
    assert contents(victim) == before
    assert (folder / "tantivy" / "notes.txt").read_text() == "mine"
    assert found(Index(folder, card), "grass") == {"new"}


def test_names_in_the_search_part_are_no_paths(
    folder: Path, victim: Path, card: ProfileCard
) -> None:
    """A crafted search part holds blocks of a segment with a name that leads out."""
    (victim / "thesis.safetensors").write_text("mine")
    index = Index(folder, card)
    with index.candidates.changing() as writer:
        segment = index.snapshot.live["a"][0]
        writer.add(b._replace(segment="../../victim/thesis") for b in segment.blocks())
    before = contents(victim)
    with pytest.raises(IndexStorageError, match="doctor --repair"):
        put(Index(folder, card), code("new", "green grass"))
    IndexFolder(folder).search_record.write(Manifest.read(folder))  # the seal is crafted as well
    put(Index(folder, card), code("new", "green grass"))
    assert contents(victim) == before
    assert not list(problems(folder, card))


STRANGERS = [
    "notes.tmp",
    "mine.txt",
    "tantivy-backup/meta.json",
    "tantivy.old/thesis.tex",
    "tantivy-00000009/thesis.tex",
    "segments/README.txt",
    "segments/00000001-a.safetensors",
    "segments/old/00000001-0a0b0c0d.safetensors",
    "tantivy/thesis.tex",
    "damaged/00000001-0a0b0c0d.safetensors",
    "segments/00000009-0a0b0c0d.safetensors",
]


@pytest.mark.parametrize("name", STRANGERS)
def test_files_of_others_stay(folder: Path, card: ProfileCard, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("not the index's")
    index = Index(folder, card)
    put(index, code("new", "green grass"))
    compact(index)
    repair(folder, card)
    put(index, delete=["a"])
    kept = {folder / name, folder / "damaged" / Path(name).name}
    assert [p.read_text() for p in kept if p.exists()] == ["not the index's"]
    assert texts(Index(folder, card)) == {"c": "black coal", "new": "green grass"}


def segments_of(folder: Path) -> dict[str, bytes]:
    """What is there of segments, wherever it is."""
    return {p.name: p.read_bytes() for p in folder.rglob("*.safetensors")}


def use(folder: Path, card: ProfileCard) -> list[str]:
    """Write, repair, write: whatever is refused is refused."""
    said = []
    for attempt in (
        lambda: put(Index(folder, card), code("new", "green grass")),
        lambda: repair(folder, card),
        lambda: put(Index(folder, card), code("newer", "grey slate")),
    ):
        try:
            attempt()
        except IndexStorageError as e:
            said.append(str(e))
    return said


@pytest.mark.parametrize("with_copy", [True, False])
@pytest.mark.parametrize("with_search", [True, False])
def test_both_manifests_are_gone(
    folder: Path, card: ProfileCard, with_copy: bool, with_search: bool
) -> None:
    (folder / "manifest.json").unlink()
    if not with_copy:
        (folder / "manifest.copy.json").unlink()
    if not with_search:
        shutil.rmtree(folder / "tantivy")
        (folder / "search.json").unlink()
    before = segments_of(folder)
    with pytest.raises(IndexStorageError, match=r"no manifest\.json"):
        Index(folder, card)
    assert use(folder, card)
    assert before.items() <= segments_of(folder).items()
    if with_copy:
        assert texts(Index(folder, card)).items() >= {"a": "red roses", "c": "black coal"}.items()


@pytest.mark.parametrize("names", [["manifest.json"], ["manifest.json", "manifest.copy.json"]])
@pytest.mark.parametrize("age", [1, 2])
def test_an_older_manifest(tmp_path: Path, card: ProfileCard, names: list[str], age: int) -> None:
    folder = tmp_path / "index"
    index = Index(folder, card)
    old = []
    for n in range(4):  # so few that none are joined
        old.append({name: (folder / name).read_bytes() for name in names if n})
        put(index, code(f"d{n}", " ".join(f"word{n}x{m}" for m in range(1500))))
    everything = segments_of(folder)
    for name, content in old[-age].items():
        (folder / name).write_bytes(content)
    use(folder, card)
    assert everything.items() <= segments_of(folder).items()
    if names == ["manifest.json"]:
        assert {"d0", "d1", "d2", "d3"} <= set(texts(Index(folder, card)))


@pytest.mark.parametrize("n_others", [0, 1, 9])
@pytest.mark.parametrize("names", [["manifest.json"], ["manifest.json", "manifest.copy.json"]])
def test_the_manifest_of_another_index(
    folder: Path, card: ProfileCard, names: list[str], n_others: int
) -> None:
    other = Index(folder.parent / "other", card)
    for n in range(n_others):
        put(other, code(f"o{n}", "grey slate"))
    put(other, delete=[f"o{n}" for n in range(n_others - 1)])
    for name in names:
        shutil.copyfile(folder.parent / "other" / name, folder / name)
    before = segments_of(folder)
    use(folder, card)
    assert before.items() <= segments_of(folder).items()


def test_a_newer_manifest(folder: Path, card: ProfileCard) -> None:
    for name in ("manifest.json", "manifest.copy.json"):
        record = json.loads((folder / name).read_text())
        del record["checksum"]
        (folder / name).write_text(json.dumps(record | {"schema_version": 99, "new": 1}))
    before = contents(folder)
    assert all("schema version 99" in said for said in use(folder, card))
    assert contents(folder) == before | {
        n: c for n, c in contents(folder).items() if n.startswith("writer.")
    }


@pytest.mark.parametrize("how", [snapshot, export_bundle])
def test_what_is_called_unfinished_is_somebodys(
    folder: Path, card: ProfileCard, how: Callable[[Index, Path], object]
) -> None:
    place = folder.parent / "X.unfinished"
    place.mkdir() if how is snapshot else place.write_text("mine")
    if how is snapshot:
        (place / "thesis.tex").write_text("mine")
    how(Index(folder, card), folder.parent / "X")
    mine = place / "thesis.tex" if how is snapshot else place
    assert mine.read_text() == "mine"
    assert {p.name for p in folder.parent.glob("X*")} == {"X", "X.unfinished"}


@pytest.mark.parametrize("how", [snapshot, export_bundle])
@pytest.mark.parametrize(
    "inside", ["copy", "tantivy-copy", "segments/copy", "damaged/copy", "namespaces/copy", "a/b/c"]
)
def test_a_copy_inside_an_index(
    folder: Path, card: ProfileCard, how: Callable[[Index, Path], object], inside: str
) -> None:
    namespace = Index(namespace_folder(folder, "n"), card)
    put(namespace, code("n", "grey slate"))
    for index in (Index(folder, card), namespace, Index(None, card)):
        if index.folder is None:
            put(index, code("m", "grey slate"))
        with pytest.raises(IndexStorageError, match="lies in the index"):
            how(index, folder / inside)
        assert not (folder / inside).exists()


def test_a_folder_that_has_somebodys_manifest(folder: Path, card: ProfileCard) -> None:
    """Of a web page, say."""
    (folder.parent / "manifest.json").write_text('{"name": "My page", "icons": []}')
    snapshot(Index(folder, card), folder.parent / "copy")
    assert texts(Index(folder.parent / "copy", card)) == texts(Index(folder, card))


@pytest.mark.parametrize("emptied", [True, False])
def test_a_folder_that_is_removed_under_an_open_index(
    folder: Path, card: ProfileCard, emptied: bool
) -> None:
    index = Index(folder, card)
    shutil.rmtree(folder)
    if emptied:
        folder.mkdir()
    with pytest.raises(IndexStorageError, match="is gone"):
        put(index, code("new", "green grass"))
    again = Index(folder, card)  # nothing of the attempt is in the way
    put(again, code("new", "green grass"))
    assert texts(again) == {"new": "green grass"}


def test_a_new_index_whose_folder_is_removed(tmp_path: Path, card: ProfileCard) -> None:
    index = Index(tmp_path / "index", card)
    shutil.rmtree(tmp_path / "index")
    put(index, code("new", "green grass"))
    assert texts(Index(tmp_path / "index", card)) == {"new": "green grass"}


@posix
def test_modes_are_the_umasks(tmp_path: Path) -> None:
    """No file is closed to those whom the umask lets in, and none is open to others."""
    for mask in (0o022, 0o027, 0o077, 0o002):
        before = os.umask(mask)
        try:
            here = tmp_path / f"{mask:o}"
            here.mkdir()
            index = Index(here / "index", random_card())
            put(index, code("a", "red roses"))
            put(index, code("b", "blue sky"), delete=["a"])
            compact(index)
            snapshot(index, here / "copy")
            export_bundle(index, here / "bundle")
            import_bundle(Index(here / "other", random_card()), here / "bundle")
        finally:
            os.umask(before)
        for path in here.rglob("*"):
            if path.suffix != ".lock":
                wanted = (0o777 if path.is_dir() else 0o666) & ~mask
                assert path.stat().st_mode & 0o777 == wanted, path
