"""The same results whatever a text's lines end with."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.readers.headings import first_heading
from s3_retriever.retrieval.headings import Headings
from s3_retriever.testing.legs import make_view
from s3_retriever.text import find_bounds
from s3_retriever.types import Document

ENDS = ["\r\n", "\r", "\x85", "\u2028", "\x0b", "\x0c", "\x1c", "\x1e"]
BLANKS = [
    "",
    " ",
    "\t",
    "\xa0",
    "\u2003",
    "\u3000",
    " \t \xa0",
    "\u202f",
    "\u200b",
    "\ufeff",
    "\u2800",
    "\xad \u2060",
]
LINES = {
    "subtitles": "1\n00:00:01,000 --> 00:00:02,000\nHi there.\n\n2\n00:00:02,000 --> "
    "00:00:03,500\nWho is it?\n\n3\n00:00:04,000 --> 00:00:05,000\nOnly me.\nReally.\n",
    "code": "def height(hours):\n    angle = speed * hours\n    return cos(angle)\n\n\n"
    "def depth(hours):\n    scaled = angle / 2\n    return sin(scaled)\n" * 4,
    "turns": "Ann: Where is it? I have looked all over the house.\nBen: In the hall.\n" * 6,
    "rows": "id,name,city\n1,Ann Lee of the harbour office,Bergen\n2,Bo,Oslo\n" * 9,
    "wrapped": "The harbour froze early that year, and nobody had seen\nthe like of it, they "
    "said. It was\nMonday.\n\nThe ice held until May. Then it\nbroke at last.\n",
    "verse": "The sea was wet as wet could be\nThe sands were dry as dry\nYou could not see a "
    "cloud because\nNo cloud was in the sky\nNo birds were flying overhead\n",
    "log": "2026-04-17 02:10:08 ERROR no reply\n  at line 8\n2026-04-17 02:10:09 INFO on\n" * 5,
    "records": '{"a": "one, two", "b": 1}\n{"a": "three and four", "b": 2}\n' * 5,
    "endless": "so we went down to the quay and nobody was there \n" * 20,
}
ANY = st.lists(
    st.sampled_from([*LINES.values(), "\n", "\n\n", "One. Two!\n", "- item\n", "x" * 90 + "\n"]),
    max_size=5,
).map("".join)


def pieces(text: str, end: str) -> tuple[list[str], list[str]]:
    bounds = find_bounds(text)
    units, paragraphs = (
        [text[a:b].replace(end, "\n") for a, b in found.tolist()]
        for found in (bounds.sentences, bounds.paragraphs)
    )
    return units, paragraphs


@pytest.mark.parametrize("end", ENDS, ids=ascii)
@pytest.mark.parametrize("name", LINES)
def test_units_and_paragraphs_do_not_depend_on_line_ends(name: str, end: str) -> None:
    text = LINES[name]
    assert pieces(text.replace("\n", end), end) == pieces(text, "\n")


@given(ANY, st.sampled_from(ENDS))
@settings(max_examples=50, deadline=None)
def test_nor_do_they_in_any_mixture(text: str, end: str) -> None:
    assert pieces(text.replace("\n", end), end) == pieces(text, "\n")


@pytest.mark.parametrize("end", ["\n", *ENDS], ids=ascii)
@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
def test_a_line_of_any_white_space_is_empty(blank: str, end: str) -> None:
    parts = ["It froze. It snowed.", "Then it thawed.", "Spring came."]
    text = f"{end}{blank}{end}".join(parts)
    bounds = find_bounds(text)
    assert [text[a:b] for a, b in bounds.paragraphs] == parts
    assert len(bounds.sentences) == 4


@pytest.mark.parametrize("end", ["\n", *ENDS], ids=ascii)
def test_headings_are_found(end: str) -> None:
    text = f"Paris{end}It is a city.{end}{end}Rome{end}{end}It is older."
    view = make_view([Document("d", text)])
    found = Headings(view)
    assert [found.of("d", n) for n in range(len(view.bounds("d").paragraphs))] == [
        "Paris",
        "",
        "Rome",
    ]
    assert first_heading(f"Guide{end}====={end}Text.") == "Guide"
    assert first_heading(f"Text.{end}{end}# Guide #{end}") == "Guide"
