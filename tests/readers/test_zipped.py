"""Archives that are broken, secret, too large or of another kind fail alone, for one reason."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import docx
import pptx
import pytest

from s3_retriever.readers import read_files
from tests.readers.files import rezipped

SUFFIXES = (".docx", ".pptx", ".epub")


def sample(suffix: str) -> bytes:
    file = io.BytesIO()
    if suffix == ".docx":
        document = docx.Document()
        document.add_paragraph("Text. " * 200)
        document.save(file)
    elif suffix == ".pptx":
        slides = pptx.Presentation()
        slides.slides.add_slide(slides.slide_layouts[5]).shapes.title.text = "Text"
        slides.save(file)
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(
                "META-INF/container.xml",
                "<c><rootfile full-path='a.opf'/></c>",
                zipfile.ZIP_DEFLATED,
            )
            archive.writestr(
                "a.opf",
                "<p><item id='a' media-type='text/html' href='a.html'/><itemref idref='a'/></p>",
            )
            archive.writestr("a.html", "<p>Text.</p>")
    return file.getvalue()


def reason_among_good_ones(tmp_path: Path, suffix: str, data: bytes) -> str:
    (tmp_path / "a.txt").write_text("The first.")
    (tmp_path / f"b{suffix}").write_bytes(data)
    (tmp_path / f"c{suffix}").write_bytes(sample(suffix))
    files = read_files([tmp_path], root=tmp_path)
    assert [d.id for d in files.documents] == ["a.txt", f"c{suffix}"]
    ((path, why),) = files.skipped.items()
    assert path == str(tmp_path / f"b{suffix}")
    return why


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_cut_off(tmp_path: Path, suffix: str, share: float) -> None:
    data = sample(suffix)
    assert "cut off" in reason_among_good_ones(tmp_path, suffix, data[: int(share * len(data))])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("data", [b"just text", b"%PDX", bytes(range(1, 200))])
def test_another_kind_of_file(tmp_path: Path, suffix: str, data: bytes) -> None:
    assert f"whatever its suffix {suffix} says" in reason_among_good_ones(tmp_path, suffix, data)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("other", SUFFIXES)
def test_an_archive_of_another_kind(tmp_path: Path, suffix: str, other: str) -> None:
    if suffix != other:
        assert "zip archive, but no" in reason_among_good_ones(tmp_path, suffix, sample(other))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_office_files_that_are_encrypted_or_old(tmp_path: Path, suffix: str) -> None:
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    assert "before 2007" in reason_among_good_ones(tmp_path, suffix, old)
    secret = old + "EncryptedPackage".encode("utf-16-le")
    assert "encrypted" in reason_among_good_ones(tmp_path, suffix, secret)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_encrypted_members(tmp_path: Path, suffix: str) -> None:
    data = bytearray(sample(suffix))
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    assert "encrypted" in reason_among_good_ones(tmp_path, suffix, bytes(data))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bomb_is_not_unpacked(tmp_path: Path, suffix: str) -> None:
    file = io.BytesIO(sample(suffix))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/bomb.xml", bytes(65 << 20))
    assert "zip bomb" in reason_among_good_ones(tmp_path, suffix, file.getvalue())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bomb_that_says_it_is_small(tmp_path: Path, suffix: str) -> None:
    """What a member does not declare is not unpacked, and then its checksum is wrong."""
    name = {".docx": "word/document.xml", ".pptx": "ppt/presentation.xml", ".epub": "a.html"}
    file = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(sample(suffix)))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in source.namelist():
            bomb = bytes(20 << 20)
            archive.writestr(member, bomb if member == name[suffix] else source.read(member))
    data = file.getvalue().replace((20 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert "broken" in reason_among_good_ones(tmp_path, suffix, data)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_flipped_byte_anywhere(tmp_path: Path, suffix: str) -> None:
    data = sample(suffix)
    for at in range(0, len(data), max(1, len(data) // 60)):
        broken = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        (tmp_path / f"b{suffix}").write_bytes(broken)
        files = read_files([tmp_path])
        assert len(files.documents) + len(files.skipped) == 1
        assert not any("its reader failed" in why for why in files.skipped.values())


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    data = rezipped(sample(".docx"), {"word/styles.xml": "<x"})
    assert "broken Word file" in reason_among_good_ones(tmp_path, ".docx", data)
