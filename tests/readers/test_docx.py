"""Word files become text with headings, lists and tables; a broken one fails alone."""

from __future__ import annotations

import io
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import docx
import pytest
from docx.oxml import parse_xml

from s3_retriever.readers import read_files
from tests.readers.files import read_one, reason, rezipped

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def word(*blocks: str) -> bytes:
    """A Word file whose body is the XML given."""
    document = docx.Document()
    end = document.element.body[-1]
    for block in blocks:
        end.addprevious(parse_xml(f"<w:body {W} {MC}>{block}</w:body>")[0])
    return saved(document)


def saved(document: docx.document.Document) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def text_of(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "a.docx").write_bytes(data)
    return read_one(tmp_path / "a.docx")


def said(text: str) -> str:
    return f"<w:r><w:t>{text}</w:t></w:r>"


def test_headings_lists_and_tables(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("The mill", 0)
    document.add_paragraph("Built in 1780.")
    document.add_heading("Repairs", 2)
    document.add_paragraph("The wheel", style="List Bullet")
    document.add_paragraph("The roof", style="List Number 2")
    table = document.add_table(rows=3, cols=3)
    for number, cell in enumerate(["Year", "What", "Price", "1804", "Wheel", "12", "", "Roof"]):
        table.cell(*divmod(number, 3)).text = cell
    table.cell(1, 0).merge(table.cell(2, 0))
    document.add_paragraph("After it.")
    document.save(tmp_path / "a.docx")
    (read,) = read_files([tmp_path / "a.docx"]).documents
    assert read.metadata["title"] == "The mill"
    assert read.text.split("\n\n") == [
        "# The mill",
        "Built in 1780.",
        "## Repairs",
        "- The wheel\n- The roof",
        "Year | What | Price\n1804 | Wheel | 12\n1804 | Roof",
        "After it.",
    ]


def test_a_style_that_is_based_on_a_heading(tmp_path: Path) -> None:
    document = docx.Document()
    style = document.styles.add_style("Kapitel", 1)
    style.base_style = document.styles["Heading 3"]
    document.add_paragraph("Own", style="Kapitel")
    assert text_of(tmp_path, saved(document)) == "### Own"


def test_an_outline_level_is_a_heading(tmp_path: Path) -> None:
    outline = '<w:pPr><w:outlineLvl w:val="1"/></w:pPr>'
    assert text_of(tmp_path, word(f"<w:p>{outline}{said('One')}</w:p>")) == "## One"


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("<w:sdt><w:sdtContent><w:p>{a}</w:p></w:sdtContent></w:sdt>", "a"),
        ("<w:p><w:sdt><w:sdtContent>{a}</w:sdtContent></w:sdt>{b}</w:p>", "ab"),
        (
            "<w:p><w:ins>{a}</w:ins><w:del><w:r><w:delText>x</w:delText></w:r></w:del>{b}</w:p>",
            "ab",
        ),
        ("<w:p><w:moveFrom>{x}</w:moveFrom><w:moveTo>{a}</w:moveTo></w:p>", "a"),
        ("<w:p><w:hyperlink>{a}</w:hyperlink><w:fldSimple>{b}</w:fldSimple></w:p>", "ab"),
        ("<w:p>{a}<w:r><w:br/><w:t>b</w:t><w:tab/><w:t>c</w:t></w:r></w:p>", "a\nb\tc"),
        ("<w:p><w:r><w:instrText>TOC</w:instrText></w:r>{a}</w:p>", "a"),
        (
            "<w:p>{a}<w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p>{b}</w:p>"
            "</w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent><w:p>{b}</w:p>"
            "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>",
            "a\n\nb",
        ),
        (
            "<w:tbl><w:sdt><w:sdtContent><w:tr><w:sdt><w:sdtContent><w:tc><w:p>{a}</w:p></w:tc>"
            "</w:sdtContent></w:sdt><w:tc><w:p>{b}</w:p><w:p>{c}</w:p></w:tc></w:tr>"
            "</w:sdtContent></w:sdt></w:tbl>",
            "a | b c",
        ),
        (
            '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr><w:p>{a}</w:p></w:tc>'
            "<w:tc><w:p>{b}</w:p></w:tc></w:tr></w:tbl>",
            "a |  | b",
        ),
        (
            "<w:tbl><w:tr><w:tc><w:tbl><w:tr><w:tc><w:p>{a}</w:p></w:tc></w:tr></w:tbl></w:tc>"
            "<w:tc><w:p>{b}</w:p></w:tc></w:tr></w:tbl>",
            "a | b",
        ),
    ],
)
def test_text_wherever_word_puts_it(tmp_path: Path, block: str, text: str) -> None:
    parts = {name: said(name) for name in "abcx"}
    assert text_of(tmp_path, word(block.format(**parts))) == text


def test_footnotes_stand_at_the_end(tmp_path: Path) -> None:
    data = word(f'<w:p>{said("Old")}<w:r><w:footnoteReference w:id="2"/></w:r></w:p>')
    part = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    data = rezipped(
        data,
        {
            "word/footnotes.xml": f'<w:footnotes {W}><w:footnote w:id="0"><w:p/></w:footnote>'
            f'<w:footnote w:id="2"><w:p>{said("Lund 1911.")}</w:p></w:footnote></w:footnotes>'
        },
        {
            "word/_rels/document.xml.rels": (
                "</Relationships>",
                f'<Relationship Id="x" Type="{part}" Target="footnotes.xml"/></Relationships>',
            )
        },
    )
    assert text_of(tmp_path, data) == "Old[^2]\n\n[^2]: Lund 1911."


def test_many_rows_do_not_repeat_a_long_cell(tmp_path: Path) -> None:
    first = f'<w:tr><w:tc><w:tcPr><w:vMerge w:val="restart"/></w:tcPr><w:p>{said("x" * 5000)}</w:p>'
    more = "<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc></w:tr>" * 3000
    text = text_of(tmp_path, word(f"<w:tbl>{first}</w:tc></w:tr>{more}</w:tbl>"))
    assert text == "x" * 5000


def test_deep_nesting(tmp_path: Path) -> None:
    open_, close = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    core = f"<w:p>{said('core')}</w:p>"
    assert text_of(tmp_path, word(open_ * 20 + core + close * 20)) == "core"
    (tmp_path / "a.docx").write_bytes(word(open_ * 60 + core + close * 60))
    assert "nested" in reason(tmp_path / "a.docx")


def test_only_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(saved(docx.Document()))
    assert "no text" in reason(tmp_path / "a.docx")


def test_entities_that_grow_are_not_expanded(tmp_path: Path) -> None:
    names = "abcdefghij"
    grown = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names))
    bomb = (
        f'<!DOCTYPE x [<!ENTITY a "boom">{grown}]><w:document {W}><w:body><w:p><w:r><w:t>&j;</w:t>'
        "</w:r></w:p></w:body></w:document>"
    )
    (tmp_path / "a.docx").write_bytes(rezipped(word(), {"word/document.xml": bomb}))
    assert "Word file" in reason(tmp_path / "a.docx") or "no text" in reason(tmp_path / "a.docx")


def test_entities_of_the_outside_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    outside = (
        f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{tmp_path}/secret">]><w:document {W}><w:body><w:p>'
        "<w:r><w:t>seen &a;</w:t></w:r></w:p></w:body></w:document>"
    )
    assert text_of(tmp_path, rezipped(word(), {"word/document.xml": outside})) == "seen"


def test_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.docx").write_bytes(word(f"<w:p>{said('a')}</w:p>"))
    monkeypatch.setitem(sys.modules, "docx", None)
    assert 'pip install "s3-retriever[files]"' in reason(tmp_path / "a.docx")


def test_another_kind_of_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("ppt/presentation.xml", "<x/>")
    assert "no Word file" in reason(tmp_path / "a.docx")
