"""Crafted manifests and segments: an error or the truth, never a crash, a path or much memory."""

from __future__ import annotations

import contextlib
import json
import struct
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.index import Index
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.segments import Segment
from tests.storage.conftest import N_LATENTS, K, code, random_card
from tests.storage.test_index import put, texts

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([2**31, 2**63, 2**64, -1, 10**30, "../x", "/etc/passwd"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, dict[str, Any]]:
    """A folder to write into, a segment's bytes, and its tensors."""
    folder = tmp_path_factory.mktemp("hostile")
    segment = Segment.build("s", [code("a", "some text"), code("b", "more", n=1)], N_LATENTS)
    segment.write(folder / "s.safetensors")
    tensors = {
        "ids": segment.ids,
        "activations": segment.activations,
        "starts": segment.starts,
        "ends": segment.ends,
        "df": segment.df,
        "text": segment._text,
        "documents": np.frombuffer(segment.listing(), np.uint8),
    }
    return folder, (folder / "s.safetensors").read_bytes(), tensors


def opens(path: Path, content: bytes) -> None:
    """The segment is refused, or everything in it can be read or is refused."""
    path.unlink(missing_ok=True)  # never under a mapping of the last one
    path.write_bytes(content)
    try:
        segment = Segment.open(path)
        for entry in segment.entries:
            segment.fits(entry, N_LATENTS)
            assert entry.n_blocks >= 0
            segment.encoded(entry)
    except IndexStorageError:
        pass


@given(data=st.data())
def test_segments_of_changed_bytes(written: Any, data: st.DataObject) -> None:
    folder, whole, _ = written
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] = data.draw(st.integers(0, 255))
        else:
            content[place:place] = data.draw(st.binary(max_size=20))
    opens(folder / "changed", bytes(content))


@given(header=JSON, length=st.none() | st.integers(0, 2**64 - 1), body=st.binary(max_size=40))
def test_segments_of_any_header(written: Any, header: Any, length: int | None, body: bytes) -> None:
    folder, _, _ = written
    text = json.dumps(header).encode()
    opens(
        folder / "header", struct.pack("<Q", len(text) if length is None else length) + text + body
    )


FIELDS = st.sampled_from(["id", "tokens", "text", "first_block", "hash", "metadata", "codes"])


@given(number=st.integers(0, 1), field=FIELDS, value=JSON)
def test_segments_with_any_listing(written: Any, number: int, field: str, value: Any) -> None:
    folder, _, tensors = written
    listing = json.loads(bytes(tensors["documents"]))
    listing[number][field] = value
    documents = np.frombuffer(json.dumps(listing).encode(), np.uint8)
    opens(folder / "listing", save({**tensors, "documents": documents}))


@given(
    name=st.sampled_from(["ids", "activations", "starts", "ends", "df", "text"]),
    dtype=st.sampled_from([np.uint8, np.uint16, np.uint32, np.int64, np.float32, np.bool_]),
    shape=st.lists(st.integers(0, 5), max_size=4),
)
def test_segments_with_any_array(written: Any, name: str, dtype: Any, shape: list[int]) -> None:
    folder, _, tensors = written
    opens(folder / "array", save({**tensors, name: np.zeros(shape, dtype)}))


@pytest.mark.parametrize("depth", [1000, 100_000])
def test_a_listing_nested_too_deep(written: Any, depth: int) -> None:
    folder, _, tensors = written
    for piece in (b"[" * depth, b'{"a":' * depth):
        documents = np.frombuffer(piece, np.uint8)
        path = folder / "deep"
        path.write_bytes(save({**tensors, "documents": documents}))
        with pytest.raises(IndexStorageError):
            Segment.open(path)


def test_huge_claims_cost_nothing(written: Any) -> None:
    folder, _, _ = written
    claim = {"ids": {"dtype": "U16", "shape": [2**40, 2, 4], "data_offsets": [0, 2**44]}}
    text = json.dumps(claim).encode()
    path = folder / "huge"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    tracemalloc.start()
    with pytest.raises(IndexStorageError):
        Segment.open(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@given(data=st.data())
@settings(max_examples=25)
def test_manifests_of_any_contents(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Of the first schema, which has no checksum that would stop them before they are read."""
    folder = tmp_path_factory.mktemp("manifest")
    card = random_card()
    put(Index(folder, card), code("a", "red roses"))
    path = folder / "manifest.json"
    record = json.loads(path.read_text())
    del record["checksum"]
    record["schema_version"] = 1
    target = data.draw(st.sampled_from([record, record["segments"][0]]))
    key = data.draw(st.sampled_from([*target, "new"]))
    target[key] = data.draw(JSON)
    path.write_text(json.dumps(record))
    with contextlib.suppress(IndexStorageError):
        assert texts(Index(folder, card)) in ({"a": "red roses"}, {})  # it may say "deleted"


@given(st.binary(max_size=200))
def test_manifests_of_any_bytes(content: bytes) -> None:
    with pytest.raises(IndexStorageError):
        Manifest.parse(content, Path("m"))


def test_a_manifest_nested_too_deep(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"a":' * 100_000)
    with pytest.raises(IndexStorageError):
        Manifest.read(tmp_path)


def test_codes_of_another_shape(tmp_path: Path) -> None:
    """A segment that is sound in itself, put into an index whose profile has other sizes."""
    card = random_card()
    index = Index(tmp_path, card)
    put(index, code("a", "red roses"))
    (path,) = (tmp_path / "segments").glob("*.safetensors")
    entry = index.snapshot.live["a"]
    coded = entry[0].encoded(entry[1])
    narrow = replace(
        coded, ids=coded.ids[:, :, : K - 1], activations=coded.activations[:, :, : K - 1]
    )
    Segment.build(path.stem, [narrow], N_LATENTS).write(path)
    record = json.loads((tmp_path / "manifest.json").read_text())
    del record["checksum"]
    del record["segments"][0]["listing_sha256"]
    record["schema_version"] = 1
    record["segments"][0]["n_bytes"] = path.stat().st_size
    (tmp_path / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(IndexStorageError, match="shape"):
        Index(tmp_path, card)
