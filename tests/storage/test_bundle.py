"""Bundles: what goes in comes out, and nothing else does any harm."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.errors import IndexMismatchError, IndexStorageError, InputError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.bundle import export_bundle, import_bundle
from s3_retriever.storage.check import problems
from s3_retriever.storage.index import Index
from tests.storage.conftest import code, random_card
from tests.storage.test_index import found, put, texts


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two live documents and a deleted one; tests must not change it."""
    index = Index(None, random_card())
    put(index, code("a", "red roses", colour="red"), code("gone", "nobody"))
    put(index, code("b", "blue sky", seed=1), delete=["gone"])
    path = tmp_path_factory.mktemp("bundle") / "two.bundle"
    assert export_bundle(index, path) == 2
    return path


def test_there_and_back(bundle: Path, tmp_path: Path, card: ProfileCard) -> None:
    index = Index(tmp_path / "new", card)
    report = import_bundle(index, bundle)
    assert (report.added, report.updated) == (("a", "b"), ())
    assert texts(index) == {"a": "red roses", "b": "blue sky"}
    assert index.snapshot.live["a"][1].metadata == {"colour": "red"}
    segment, entry = index.snapshot.live["b"]
    assert np.array_equal(segment.encoded(entry).ids, code("b", "blue sky", seed=1).ids)
    assert found(index, "roses") == {"a"}
    assert not list(problems(tmp_path / "new", card))
    again = import_bundle(index, bundle)
    assert (again.added, again.updated) == ((), ("a", "b"))
    assert len(texts(index)) == 2


def test_into_an_index_that_holds_something(bundle: Path, card: ProfileCard) -> None:
    index = Index(None, card)
    put(index, code("a", "old text"), code("c", "black coal"))
    report = import_bundle(index, bundle)
    assert (report.added, report.updated) == (("b",), ("a",))
    assert texts(index) == {"c": "black coal", "a": "red roses", "b": "blue sky"}


def test_of_another_profile(bundle: Path) -> None:
    with pytest.raises(IndexMismatchError, match=r"test-0.*test-1"):
        import_bundle(Index(None, random_card(1)), bundle)


def test_nothing_to_export(card: ProfileCard, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        export_bundle(Index(None, card), tmp_path / "x")
    assert not list(tmp_path.iterdir())


def rewritten(
    bundle: Path,
    target: Path,
    *,
    manifest: Callable[[dict], object] = lambda m: m,
    name: Callable[[str], str] = lambda n: n,
    content: Callable[[bytes], bytes] = lambda c: c,
    compression: int = zipfile.ZIP_STORED,
    more: dict[str, bytes] | None = None,
) -> Path:
    """The bundle with something changed; checksums of the manifest are left out."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "manifest.json":
                record = json.loads(data)
                record.pop("checksum")
                record["schema_version"] = 1
                new.writestr("manifest.json", json.dumps(manifest(record)))
            else:
                new.writestr(name(info.filename), content(data))
        for extra, data in (more or {}).items():
            new.writestr(extra, data)
    return target


def first_segment(change: dict[str, object]) -> Callable[[dict], object]:
    return lambda m: m | {"segments": [m["segments"][0] | change, *m["segments"][1:]]}


CRAFTED: dict[str, dict] = {
    "a path that climbs out": {"name": lambda n: "../../" + n},
    "an absolute path": {"name": lambda n: "/tmp/" + n.split("/")[-1]},
    "a manifest that names a path": {"manifest": first_segment({"name": "../../../etc/x"})},
    "a member too many": {"more": {"evil.py": b"print(1)"}},
    "a manifest twice": {"more": {"manifest.json": b"{}"}},
    "a zip bomb": {"compression": zipfile.ZIP_DEFLATED, "content": lambda c: bytes(10**7)},
    "another content": {"content": lambda c: c[:-1] + b"!"},
    "a huge length": {"manifest": first_segment({"n_bytes": 10**15})},
    "no object": {"manifest": lambda m: [1]},
    "deep nesting": {"manifest": lambda m: m | {"model": json.loads("[" * 500 + "]" * 500)}},
    "another search folder": {"manifest": lambda m: m | {"search": "../tantivy"}},
    "deleted numbers that do not ascend": {"manifest": first_segment({"deleted": [5, 1]})},
}


@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_crafted_bundle_is_refused(
    bundle: Path, tmp_path: Path, card: ProfileCard, what: str
) -> None:
    crafted = rewritten(bundle, tmp_path / "crafted", **CRAFTED[what])
    index = Index(tmp_path / "index", card)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(IndexStorageError):
        import_bundle(index, crafted)
    after = set(tmp_path.rglob("*")) - {tmp_path / "index" / "writer.lock"}
    assert after == set(before)
    assert texts(index) == {}


def test_the_harness_makes_bundles_that_are_good(
    bundle: Path, tmp_path: Path, card: ProfileCard
) -> None:
    """Or the test above would prove nothing."""
    index = Index(None, card)
    import_bundle(index, rewritten(bundle, tmp_path / "same"))
    assert texts(index) == {"a": "red roses", "b": "blue sky"}


def test_members_that_share_their_bytes(bundle: Path, tmp_path: Path, card: ProfileCard) -> None:
    """The bomb without compression: many names for the same bytes."""
    target = tmp_path / "overlap"
    with zipfile.ZipFile(target, "w") as new:
        new.writestr("manifest.json", b"x" * 1000)
        info = new.infolist()[0]
        for n in range(50):
            twin = zipfile.ZipInfo(f"m{n}")
            twin.header_offset, twin.CRC = info.header_offset, info.CRC
            twin.file_size = twin.compress_size = info.file_size
            new.filelist.append(twin)
            new.NameToInfo[twin.filename] = twin
    with pytest.raises(IndexStorageError, match="larger than it is"):
        import_bundle(Index(None, card), target)


@given(data=st.data())
def test_any_changed_bundle_is_the_same_or_refused(bundle: Path, data: st.DataObject) -> None:
    content = bytearray(bundle.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        what = data.draw(st.sampled_from(["set", "cut", "insert", "copy"]))
        place = data.draw(st.integers(0, len(content) - 1))
        if what == "set":
            content[place] = data.draw(st.integers(0, 255))
        elif what == "cut":
            del content[place : place + data.draw(st.integers(1, 50))]
        elif what == "insert":
            content[place:place] = data.draw(st.binary(max_size=50))
        else:
            content[place:place] = content[: data.draw(st.integers(0, 200))]
        if not content:
            break
    changed = bundle.parent / f"changed-{random.getrandbits(64):x}"
    changed.write_bytes(content)
    index = Index(None, random_card())
    try:
        import_bundle(index, changed)
        assert texts(index) == {"a": "red roses", "b": "blue sky"}
    except IndexStorageError:
        pass
    finally:
        changed.unlink()


@given(data=st.data())
@settings(max_examples=30)
def test_a_bundle_whose_checksums_fit_any_segment(bundle: Path, data: st.DataObject) -> None:
    """Whoever makes a bundle makes its checksums: what they cover has to be harmless by itself."""

    def changed(content: bytes) -> bytes:
        new = bytearray(content)
        header = struct.unpack("<Q", content[:8])[0] + 8
        listing = header + json.loads(content[8:header])["documents"]["data_offsets"][0]
        first = data.draw(st.sampled_from([0, header, listing]))  # mostly where it means something
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(first, len(new) - 1))
            piece = data.draw(st.binary(min_size=1, max_size=8))
            new[place : place + data.draw(st.sampled_from([0, len(piece)]))] = piece
        digests.append((hashlib.sha256(new).hexdigest(), len(new)))
        return bytes(new)

    def signed(record: dict) -> dict:
        for segment, (digest, size) in zip(record["segments"], digests, strict=True):
            segment.update(sha256=digest, n_bytes=size, listing_sha256=None)
        return record

    digests: list[tuple[str, int]] = []
    path = bundle.parent / "signed"
    rewritten(bundle, path, content=changed)  # once for the segments, once for their checksums
    with zipfile.ZipFile(path) as made:
        contents = iter([made.read(n) for n in made.namelist() if n != "manifest.json"])
    rewritten(bundle, path, content=lambda _: next(contents), manifest=signed)
    index = Index(None, random_card())
    with contextlib.suppress(IndexStorageError):
        import_bundle(index, path)
    for text in texts(index).values():  # of a document that was taken in: sound, whatever it says
        assert isinstance(text, str)


@given(st.binary(max_size=400))
def test_any_bytes_are_no_bundle(bundle: Path, content: bytes) -> None:
    path = bundle.parent / "bytes"
    for data in (content, content + b"PK\x05\x06" + bytes(18)):  # the second: an empty zip file
        path.write_bytes(data)
        with pytest.raises(IndexStorageError):
            import_bundle(Index(None, random_card()), path)


def forged(bundle: Path, target: Path, *, text: bytes = b"red roses", **listed: object) -> Path:
    """The bundle with another text and entry of ``a``, and all digests as whoever forges can."""
    digests: list[tuple[str, int]] = []

    def changed(content: bytes) -> bytes:
        header = struct.unpack("<Q", content[:8])[0] + 8
        fields = json.loads(content[8:header])
        arrays = {
            name: content[header + field["data_offsets"][0] : header + field["data_offsets"][1]]
            for name, field in fields.items()
        }
        documents = json.loads(arrays["documents"])
        if documents[0]["id"] == "a":
            documents[0] |= {"hash": hashlib.sha256(text).hexdigest(), **listed}
            arrays["text"] = arrays["text"].replace(b"red roses", text)
        arrays["documents"] = json.dumps(documents).encode()
        at = 0
        for name, field in fields.items():
            field["data_offsets"] = [at, at + len(arrays[name])]
            if name == "documents":
                field["shape"] = [len(arrays[name])]
            at += len(arrays[name])
        new = json.dumps(fields).encode()
        made = struct.pack("<Q", len(new)) + new + b"".join(arrays[name] for name in fields)
        digests.append((hashlib.sha256(made).hexdigest(), len(made)))
        return made

    def signed(record: dict) -> dict:
        for segment, (digest, size) in zip(record["segments"], digests, strict=True):
            segment.update(sha256=digest, n_bytes=size, listing_sha256=None)
        return record

    rewritten(bundle, target, content=changed)
    with zipfile.ZipFile(target) as made:
        contents = iter([made.read(n) for n in made.namelist() if n != "manifest.json"])
    return rewritten(bundle, target, content=lambda _: next(contents), manifest=signed)


FORGED: dict[str, dict] = {
    "text that is no UTF-8": {"text": b"red \xffoses"},
    "text with half a character": {"text": b"red rose\xc3"},
    "text of a surrogate": {"text": b"red r\xed\xa0\x80s"},
    "text with NUL": {"text": b"red\x00roses"},
    "white space": {"text": b"         "},
    "no id": {"id": ""},
    "an id that is no UTF-8": {"id": "a\ud800"},
    "an id of a megabyte": {"id": "x" * (1 << 20)},
    "the id of another": {"id": "b"},
    "NaN": {"metadata": {"year": float("nan")}},
    "NaN in a list": {"metadata": {"years": [1, float("nan")]}},
    "infinity": {"metadata": {"year": float("inf")}},
    "100 deep": {"metadata": {"deep": json.loads("[" * 100 + "]" * 100)}},
    "900 deep": {"metadata": {"deep": json.loads("[" * 900 + "]" * 900)}},
    "deep mappings": {"metadata": json.loads('{"a":' * 100 + "1" + "}" * 100)},
    "a huge integer": {"metadata": {"n": 10**700}},
    "huge metadata": {"metadata": {"x": "x" * (1 << 21)}},
}


@pytest.mark.parametrize("what", FORGED)
def test_a_bundle_brings_nothing_that_add_refuses(
    bundle: Path, tmp_path: Path, card: ProfileCard, what: str
) -> None:
    index = Index(tmp_path / "index", card)
    with pytest.raises(IndexStorageError) as caught:
        import_bundle(index, forged(bundle, tmp_path / "forged", **FORGED[what]))
    assert len(str(caught.value)) < 500
    assert "a" not in index.snapshot.live
    Index(tmp_path / "index", card)


def test_the_forger_makes_bundles_that_are_good(
    bundle: Path, tmp_path: Path, card: ProfileCard
) -> None:
    """Or the test above would prove nothing."""
    metadata = {"year": 1995, "file": "caf\udce9.txt"}
    path = forged(bundle, tmp_path / "same", text=b"red rings", metadata=metadata)
    index = Index(None, card)
    import_bundle(index, path)
    assert texts(index) == {"a": "red rings", "b": "blue sky"}
    stored = index.snapshot.live["a"][1].metadata
    assert stored == {"year": 1995, "file": "caf\\udce9.txt"}  # as add would have it


KILLED = """
import os, sys, tempfile
from pathlib import Path
from s3_retriever.storage import bundle
from s3_retriever.storage.index import Index
from s3_retriever.storage.segments import Segment
from tests.storage.conftest import random_card

what, place, folder, moment = sys.argv[1:]
right = getattr(Segment, moment)

def killed(*arguments, **more):
    right(*arguments, **more)
    os.kill(os.getpid(), 9)

index = Index(Path(folder) if folder else None, random_card())
setattr(Segment, moment, killed)
(bundle.export_bundle if what == "export" else bundle.import_bundle)(index, Path(place))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    ("what", "moment"),
    [
        ("export", "content"),
        ("export", "listing"),
        ("import", "map"),
        ("import", "fits"),
        ("import", "encoded"),
    ],
)
def test_killed_they_leave_nothing_in_the_temporary_folder(
    bundle: Path, tmp_path: Path, card: ProfileCard, what: str, moment: str, in_memory: bool
) -> None:
    if what == "export" and in_memory:
        pytest.skip("there is nothing to export")
    put(Index(tmp_path / "index", card), code("a", "red roses"))
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED,
            what,
            str(tmp_path / "new" if what == "export" else bundle),
            "" if in_memory else str(tmp_path / "index"),
            moment,
        ],
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    index = Index(tmp_path / "index", card)
    import_bundle(index, bundle)  # goes on
    assert set(texts(index)) == {"a", "b"}
    assert not list(problems(tmp_path / "index", card))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link to a pipe"])
def test_what_is_no_file_is_neither_read_nor_replaced(
    tmp_path: Path, card: ProfileCard, kind: str
) -> None:
    """Reading a pipe waits for ever, a device has no end, and a file in its place hurts others."""
    index = Index(tmp_path / "index", card)
    put(index, code("a", "red roses"))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # for the path of a socket
        path = Path(short) / "x"
        if kind == "socket":
            socket.socket(socket.AF_UNIX).bind(str(path))
        elif kind == "folder":
            path.mkdir()
        else:
            os.mkfifo(path)
        given = path
        if kind == "link to a pipe":
            given = Path(short) / "link"
            given.symlink_to(path)
        with pytest.raises(IndexStorageError, match="no file"):
            import_bundle(index, given)
        if kind != "link to a pipe":  # which a bundle takes the place of
            with pytest.raises(IndexStorageError, match="no file"):
                export_bundle(index, given)
        assert not path.is_file()
