"""Pages: every character stands on one, and metadata of any make are no hindrance."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.pages import joined_pages, page_of, pages_of, span_metadata


@given(st.lists(st.sampled_from(["", "a", "bc\n\nd"])))
def test_every_character_of_a_page_stands_on_it(pages: list[str]) -> None:
    text, starts = joined_pages(pages)
    assert len(starts) == len(pages)
    for number, (page, start) in enumerate(zip(pages, starts, strict=True), start=1):
        assert text[start : start + len(page)] == page
        for offset in range(start, start + len(page)):
            assert page_of({"page_starts": starts}, offset) == number


def test_a_span_over_two_pages() -> None:
    metadata = {"page_starts": [0, 10, 20], "title": "Mill", "page_label": "old"}
    assert pages_of(metadata, 5, 10) == (1, 1)
    assert pages_of(metadata, 5, 21) == (1, 3)
    assert span_metadata(metadata, 5, 21) == {"title": "Mill", "page_label": "1-3"}
    assert metadata["page_starts"] == [0, 10, 20]


@pytest.mark.parametrize(
    "starts", [None, [], "012", 3, [0, "1"], [0, True], [5, 3], [0.0, 1.0], {"0": 1}, [[0]]]
)
def test_metadata_of_other_makes_tell_no_pages(starts: Any) -> None:
    metadata = {"page_starts": starts, "page_label": "iv"}
    assert page_of(metadata, 3) is None and pages_of(metadata, 0, 3) is None
    assert span_metadata(metadata, 0, 3) == metadata


def test_an_index_keeps_them(tmp_path: Any) -> None:
    from s3_retriever.validation import stored_metadata

    assert stored_metadata({"page_starts": [0, 7]}) == {"page_starts": [0, 7]}
