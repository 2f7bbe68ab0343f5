"""Books: chapters in the order of the spine."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from s3_retriever.readers import read_files
from tests.readers.files import read_one, reason

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
)
PACKAGE = """<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title>The mill &amp; the sea</dc:title></metadata><manifest>
<item id="b" href="text/two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="c" href="cover.xhtml" media-type="application/xhtml+xml"/>
<item id="x" href="x.css" media-type="text/css"/>
</manifest><spine><itemref idref="c"/><itemref idref="a"/><itemref idref="b"/><itemref idref="x"/>
</spine></package>"""
BOOK = {
    "mimetype": "application/epub+zip",
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": PACKAGE,
    "OEBPS/cover.xhtml": "<html><body><img src='c.png'/></body></html>",
    "OEBPS/text/two b.xhtml": "<html><body><h1>Two</h1><p>It turned.</p></body></html>",
    "OEBPS/text/one.xhtml": '<?xml version="1.0"?><!DOCTYPE html><html><body><h1>One</h1>'
    "<table><tr><td>a</td><td>b</td></tr></table></body></html>",
    "OEBPS/x.css": "p {}",
}


def book(tmp_path: Path, **changed: str | None) -> Path:
    path = tmp_path / "a.epub"
    members = {**BOOK, **{name.replace("__", "/"): text for name, text in changed.items()}}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            if text is not None:
                archive.writestr(name, text)
    return path


def test_chapters_in_their_order(tmp_path: Path) -> None:
    (document,) = read_files([book(tmp_path)]).documents
    assert document.text == "One\n\na | b\n\nTwo\n\nIt turned."
    assert document.metadata["title"] == "The mill & the sea"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"META-INF__container.xml": None}, "no EPUB"),
        ({"META-INF__container.xml": "<container/>"}, "names no book"),
        ({"META-INF__container.xml": "<contai"}, "broken EPUB"),
        ({"OEBPS__book.opf": None}, "broken EPUB"),
        ({"OEBPS__text/one.xhtml": None}, "text/one.xhtml is missing"),
        ({"OEBPS__book.opf": PACKAGE.replace("itemref", "other")}, "no text"),
        (
            {"META-INF__encryption.xml": "<e><CipherReference URI='OEBPS/text/one.xhtml'/></e>"},
            "encrypted (DRM)",
        ),
        ({"OEBPS__book.opf": PACKAGE.replace("text/one", "../../../etc/one")}, "is missing"),
    ],
)
def test_broken(tmp_path: Path, members: dict[str, str | None], why: str) -> None:
    assert why in reason(book(tmp_path, **members))


def test_encrypted_fonts_are_no_hindrance(tmp_path: Path) -> None:
    fonts = "<e><d><CipherReference URI='OEBPS/font.otf'/></d></e>"
    assert "It turned." in read_one(book(tmp_path, **{"META-INF__encryption.xml": fonts}))


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;">]>'
    package = PACKAGE.replace("<package", bomb + "<package").replace("The mill", "&b;")
    (document,) = read_files([book(tmp_path, **{"OEBPS__book.opf": package})]).documents
    assert "boom" not in document.metadata["title"]


def test_a_guessed_encoding_is_told(tmp_path: Path) -> None:
    path = book(tmp_path, **{"OEBPS__text/one.xhtml": None})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("OEBPS/text/one.xhtml", "<p>Grüße aus Köln</p>".encode("latin-1"))
    files = read_files([path])
    assert files.documents[0].text.startswith("Grüße aus Köln")
    assert files.documents[0].metadata["encoding"] == "windows-1252" and files.notes
