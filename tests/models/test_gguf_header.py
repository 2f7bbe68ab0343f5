"""GGUF files that claim more than they hold are refused at once, wherever they are cut."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from s3_retriever.errors import ModelError
from s3_retriever.models.gguf_header import check_gguf

HEAD = b"GGUF" + struct.pack("<I", 3)
HUGE = [2**40, 2**63, 2**64 - 1]


def counts(tensors: int, entries: int) -> bytes:
    return HEAD + struct.pack("<QQ", tensors, entries)


def text(content: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(content) if length is None else length) + content


def entry(kind: int, value: bytes) -> bytes:
    return text(b"key") + struct.pack("<I", kind) + value


def tensor(*shape: int, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(b"t") + sizes + struct.pack("<IQ", 0, offset)


SOUND = (
    counts(1, 3)
    + entry(8, text(b"value"))
    + entry(9, struct.pack("<IQ", 8, 2) + text(b"a") + text(b"bc"))
    + entry(9, struct.pack("<IQ3f", 6, 3, 1, 2, 3))
    + tensor(2, 4)
)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_sound_header_passes(tmp_path: Path) -> None:
    check_gguf(written(tmp_path / "m.gguf", SOUND + bytes(64)))


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_file_cut_anywhere(tmp_path: Path, length: int) -> None:
    with pytest.raises(ModelError, match="is not a GGUF model"):
        check_gguf(written(tmp_path / "m.gguf", SOUND[:length]))


@pytest.mark.parametrize("n", HUGE)
@pytest.mark.parametrize(
    "content",
    [
        lambda n: counts(n, 0),
        lambda n: counts(0, n),
        lambda n: counts(0, 1) + text(b"key", n),
        lambda n: counts(0, 1) + entry(8, text(b"x", n)),
        lambda n: counts(0, 1) + entry(9, struct.pack("<IQ", 8, n)),
        lambda n: counts(0, 1) + entry(9, struct.pack("<IQ", 8, 1) + text(b"x", n)),
        lambda n: counts(0, 1) + entry(9, struct.pack("<IQ", 5, n)),
        lambda n: counts(1, 0) + tensor(n),
        lambda n: counts(1, 0) + tensor(2**20, n),
        lambda n: counts(1, 0) + tensor(2, offset=n),
        lambda n: counts(1, 0) + text(b"t", n),
    ],
)
def test_a_claim_beyond_the_file(tmp_path: Path, content: object, n: int) -> None:
    made = content(n)  # type: ignore[operator]
    with pytest.raises(ModelError):
        check_gguf(written(tmp_path / "m.gguf", made + bytes(2000)))


@pytest.mark.parametrize(
    "content",
    [
        b"GGML" + SOUND[4:],
        b"GGUF" + struct.pack("<I", 1) + SOUND[8:],
        b"GGUF" + struct.pack(">I", 3) + SOUND[8:],
        counts(0, 1) + entry(13, bytes(8)),
        counts(0, 1) + entry(9, struct.pack("<IQ", 9, 1)),
        counts(1, 0) + tensor(1, 1, 1, 1, 1),
    ],
    ids=["magic", "version", "byte order", "type", "lists of lists", "dimensions"],
)
def test_what_no_writer_writes(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelError):
        check_gguf(written(tmp_path / "m.gguf", content + bytes(64)))
