"""Pages that open much and close nothing are read in one pass, and nothing of them is lost."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.readers.base import UnreadableError
from s3_retriever.readers.html import READER
from s3_retriever.readers.markup import closed_markup

UNITS = {
    "comments": "text <!-- ",
    "character data": "text <![CDATA[ x ",
    "conditions": "text <![if x ",
    "instructions": "text <? ",
    "declarations": "text <!doctype ",
    "bogus comments": "text <!x ",
    "end tags": "text </a ",
    "start tags": "text <a ",
    "attributes": 'text <a b="c" ',
    "quotes": 'text <a b="',
    "both quotes": "text <a b='\"",
    "slashes": "text <a/",
    "brackets": "text < ",
    "nested": "<div>text ",
    "nested inline": "<p><b>text ",
    "entities": "&amp; text &#x",
    "ampersands": "text & ",
}
AROUND = {
    "alone": ("", ""),
    "in a script": ("<script>", ""),
    "in an attribute": ('text <a b="', ""),
    "behind a comment": ("text <!-- x -->", ""),
    "a bracket at the end": ("", ">"),
    "a comment's end at the end": ("", "-->"),
    "a section's end at the end": ("", "]]>"),
}


def seconds(page: str) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        with contextlib.suppress(UnreadableError):
            READER.read(page.encode())
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("unit", UNITS)
def test_four_times_the_page_is_no_sixteen_times_the_work(unit: str, around: str) -> None:
    before, after = AROUND[around]
    small, large = (seconds(before + n * UNITS[unit] + after) for n in (500, 2000))
    assert large < 10 * max(small, 0.005)


@pytest.mark.parametrize(
    "page",
    [
        "<p>one <!-- two --> three</p>",
        "<p title='<!-- x -->'>one</p>",
        "<![CDATA[ one ]]> two <p>",
        "<!DOCTYPE html><?xml x?><p>one</p>",
        "a < b and c > d <br/>",
        "<script>if (a < b) { '<!--' } // --></script>text<p>",
    ],
)
def test_a_page_that_closes_what_it_opens_stays_as_it_is(page: str) -> None:
    assert closed_markup(page) == page


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("one <!-- two", "one <!-- two"),
        ("<p>one</p> two <!-- three <b>four</b>", "one\n\ntwo <!-- three four"),
        ("one <![CDATA[ two", "one <![CDATA[ two"),
        ("one <? two", "one <? two"),
        ("one <a two", "one <a two"),
        ("<p>one</p><script>a <!-- b</script>two <!-- three", "one\n\ntwo <!-- three"),
    ],
)
def test_what_is_never_closed_is_text(page: str, text: str) -> None:
    assert READER.read(page.encode()).text == text


@given(
    st.lists(
        st.sampled_from(["<!--", "-->", "--", ">", "<", "<![CDATA[", "]]>", "]>", "<![if", "<a "])
    )
)
def test_closed_markup_only_spells_brackets_differently(parts: list[str]) -> None:
    page = "".join(parts)
    assert closed_markup(page).replace("&lt;", "<") == page
