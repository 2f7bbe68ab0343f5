"""PDF becomes text, or is left out for a reason that says what to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pypdf
import pytest

from s3_retriever.pages import page_of
from s3_retriever.readers import read_files
from tests.readers.files import pdf_bytes, read_one, reason


def test_pages_stand_apart(tmp_path: Path) -> None:
    path = tmp_path / "two.pdf"
    path.write_bytes(pdf_bytes("First page.", "Second page."))
    (document,) = read_files([path]).documents
    assert document.text == "First page.\n\nSecond page."
    assert document.metadata["title"] == "two.pdf"


def test_its_pages_are_told(tmp_path: Path) -> None:
    path = tmp_path / "three.pdf"
    path.write_bytes(pdf_bytes("First page.", "", "Third page.", ""))
    (document,) = read_files([path]).documents
    assert document.text == "First page.\n\nThird page."
    assert document.metadata["page_starts"] == [0, 13, 13, 26]
    pages = [page_of(document.metadata, document.text.index(word)) for word in ("First", "Third")]
    assert pages == [1, 3]


def test_its_title(tmp_path: Path) -> None:
    path = tmp_path / "titled.pdf"
    plain = tmp_path / "plain.pdf"
    plain.write_bytes(pdf_bytes("Text."))
    writer = pypdf.PdfWriter(clone_from=plain)
    writer.add_metadata({"/Title": "The title"})
    writer.write(path)
    (document,) = read_files([path]).documents
    assert document.metadata["title"] == "The title"


def test_encrypted(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.pdf", tmp_path / "secret.pdf"
    plain.write_bytes(pdf_bytes("Secret."))
    writer = pypdf.PdfWriter(clone_from=plain)
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(path)
    assert "encrypted" in reason(path)


def test_encrypted_in_a_way_that_needs_another_package(tmp_path: Path) -> None:
    path = tmp_path / "secret.pdf"
    bytes_of = {"O": 48, "U": 48, "OE": 32, "UE": 32, "Perms": 16}
    strings = " ".join(f"/{name} <{'00' * n}>" for name, n in bytes_of.items())
    aes = (
        f"/Encrypt << /Filter /Standard /V 5 /R 6 /Length 256 /P -4 {strings} /StmF /StdCF "
        "/StrF /StdCF /CF << /StdCF << /AuthEvent /DocOpen /CFM /AESV3 /Length 32 >> >> >> "
        "/ID [<00> <00>]"
    )
    path.write_bytes(pdf_bytes("Secret.", trailer=aes))
    assert "encrypted" in reason(path)


@pytest.mark.parametrize("data", [b"no pdf", b"%PDF-1.4\n%%EOF", pdf_bytes("x")[:200]])
def test_broken(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(data)
    assert "broken PDF" in reason(path)


def test_only_pictures(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(pdf_bytes(""))
    assert "OCR" in reason(path)


def test_a_good_file_beside_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / "good.txt").write_text("Good.")
    files = read_files([tmp_path], root=tmp_path)
    assert [d.id for d in files.documents] == ["good.txt"]
    assert list(files.skipped) == [str(tmp_path / "broken.pdf")]


def test_a_word_that_a_line_end_cut_is_whole_again(tmp_path: Path) -> None:
    path = tmp_path / "justified.pdf"
    path.write_bytes(pdf_bytes("The old light-) Tj 0 -14 Td (house. It) Tj 0 -14 Td (burned oil."))
    assert read_one(path) == "The old lighthouse. It\nburned oil."


def test_encrypted_without_a_password(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.pdf", tmp_path / "open.pdf"
    plain.write_bytes(pdf_bytes("Anybody may read this."))
    writer = pypdf.PdfWriter(clone_from=plain)
    writer.encrypt("", owner_password="owner", algorithm="RC4-128")
    writer.write(path)
    assert read_one(path) == "Anybody may read this."


def test_known_by_how_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "paper"
    path.write_bytes(pdf_bytes("No suffix."))
    assert read_one(path) == "No suffix."


def test_several_threads_take_turns(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.pdf" for n in range(16)]
    for n, path in enumerate(paths):
        path.write_bytes(pdf_bytes(*[f"Page of file {n}."] * 20))
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(read_one, paths))
    assert texts == ["\n\n".join([f"Page of file {n}."] * 20) for n in range(16)]
