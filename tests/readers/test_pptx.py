"""PowerPoint files become slides with their titles, tables and notes."""

from __future__ import annotations

import io
from pathlib import Path

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.enum.shapes import PP_PLACEHOLDER as PP
from pptx.util import Inches

from s3_retriever.pages import page_of
from s3_retriever.readers import read_files
from tests.readers.files import read_one, reason, rezipped

BOX = (Inches(1), Inches(1), Inches(3), Inches(2))


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    file = pptx.Presentation()
    first = file.slides.add_slide(file.slide_layouts[1])
    first.shapes.title.text = "The\vmill"
    first.placeholders[1].text = "Wind turns it\nand water"
    first.placeholders[1].text_frame.paragraphs[1].level = 1
    first.notes_slide.notes_text_frame.text = "Say hello."
    file.slides.add_slide(file.slide_layouts[6])  # a picture, say
    last = file.slides.add_slide(file.slide_layouts[5])
    last.shapes.title.text = "Costs"
    table = last.shapes.add_table(2, 2, *BOX).table
    for number, text in enumerate(["Year", "Price", "1804", "12"]):
        table.cell(*divmod(number, 2)).text = text
    group = last.shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "In a group"
    chart = CategoryChartData()
    chart.categories = ["a"]
    chart.add_series("s", [1])
    shown = last.shapes.add_chart(XL_CHART_TYPE.PIE, *BOX, chart).chart
    shown.has_title = True
    shown.chart_title.text_frame.text = "Shares"
    path = tmp_path / "a.pptx"
    file.save(path)
    return path


def test_titles_text_tables_groups_and_notes(slides: Path) -> None:
    (document,) = read_files([slides]).documents
    assert document.metadata["title"] == "The mill"
    assert document.text.split("\n\n") == [
        "# The mill",
        "Wind turns it\n  and water",
        "Notes: Say hello.",
        "# Costs",
        "Year | Price\n1804 | 12",
        "In a group",
        "Shares",
    ]


def test_a_slide_is_a_page(slides: Path) -> None:
    (document,) = read_files([slides]).documents
    at = {word: document.text.index(word) for word in ("mill", "hello", "Costs", "Shares")}
    assert [page_of(document.metadata, at[word]) for word in at] == [1, 1, 3, 3]


def test_with_macros(slides: Path) -> None:
    main, macros = (
        "vnd.openxmlformats-officedocument.presentationml.presentation.main",
        "vnd.ms-powerpoint.presentation.macroEnabled.main",
    )
    path = slides.with_suffix(".pptm")
    path.write_bytes(rezipped(slides.read_bytes(), {}, {"[Content_Types].xml": (main, macros)}))
    assert read_one(path) == read_one(slides)


def test_what_every_slide_has_is_left_out(tmp_path: Path) -> None:
    file = pptx.Presentation()
    slide = file.slides.add_slide(file.slide_layouts[5])
    slide.shapes.title.text = "Title"
    for layout in slide.slide_layout.placeholders:
        if layout.placeholder_format.type in (PP.DATE, PP.FOOTER, PP.SLIDE_NUMBER):
            slide.shapes.clone_placeholder(layout)
    for shape in list(slide.placeholders)[1:]:
        shape.text_frame.text = "Again"
    assert len(slide.placeholders) == 4
    file.save(tmp_path / "a.pptx")
    assert read_one(tmp_path / "a.pptx") == "# Title"


def test_a_shape_with_the_titles_number_is_kept(tmp_path: Path) -> None:
    file = pptx.Presentation()
    slide = file.slides.add_slide(file.slide_layouts[5])
    slide.shapes.title.text = "Title"
    box = slide.shapes.add_textbox(*BOX)
    box.text_frame.text = "Text"
    box.element.nvSpPr.cNvPr.set("id", str(slide.shapes.title.shape_id))
    file.save(tmp_path / "a.pptx")
    assert read_one(tmp_path / "a.pptx") == "# Title\n\nText"


def test_no_text(tmp_path: Path) -> None:
    file, data = pptx.Presentation(), io.BytesIO()
    file.slides.add_slide(file.slide_layouts[6])
    file.save(data)
    (tmp_path / "a.pptx").write_bytes(data.getvalue())
    assert "no text" in reason(tmp_path / "a.pptx")
