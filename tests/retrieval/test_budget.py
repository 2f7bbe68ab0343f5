"""What pieces cost one by one is never less than what they cost together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.models.base import LanguageModel
from s3_retriever.retrieval.budget import joined, priced

PIECES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    | st.sampled_from(
        ["It's late.", "## Beds", "| a | b |", "x = {\n", "  and so", "山田さん。", "4.2"]
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def count(llm: LanguageModel):  # type: ignore[no-untyped-def]
    return llm.count_tokens


@given(pieces=PIECES)
@settings(deadline=None, max_examples=300)
def test_of_a_real_tokenizer(count, pieces: list[str]) -> None:  # type: ignore[no-untyped-def]
    prices = [count(priced(text, first=n == 0)) for n, text in enumerate(pieces)]
    assert sum(prices) >= count(joined(pieces))
