"""How much of a question a span holds, by hand; and what that changes of an order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.exactness import Exactness, lifted
from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.legs.bm25 import BM25
from s3_retriever.retrieval.words import Words
from s3_retriever.types import SpanRef
from tests.retrieval.texts import VIEW, context_of


class Rarities(Words):
    """Words of an index of ten blocks, by how many of them hold each."""

    def __init__(self, blocks: dict[str, int]) -> None:
        super().__init__(VIEW, VIEW.search)
        self._n_blocks = 10
        self._blocks = blocks

    def look_up(self, words: Iterable[str]) -> None:
        self._frequencies |= {word: self._blocks.get(word, 0) for word in words}


def exactness(question: str, text: str, **blocks: int) -> float:
    return Exactness(Rarities(blocks), question.split()).of(Counter(text.split()))


def test_all_of_a_question_or_nothing_of_it() -> None:
    assert exactness("kale", "the kale froze", kale=1, the=9) == 1
    assert exactness("kale", "the beans froze", kale=1, the=9) == 0
    assert exactness("", "the beans") == 0


def test_words_that_the_index_lacks_count_for_nothing() -> None:
    assert exactness("curly kale", "kale", kale=1) == 1
    assert exactness("curly", "kale", kale=1) == 0


def test_between_three_quarters_and_all_it_is_a_share() -> None:
    rare, common = (math.log(1 + (10 - df + 0.5) / (df + 0.5)) for df in (1, 4))
    held = rare**2 / (rare**2 + common**2)
    assert exactness("about kale", "kale", kale=1, about=4) == pytest.approx((held - 0.75) / 0.25)
    assert exactness("about kale", "about", kale=1, about=4) == 0


SCORES = st.lists(st.tuples(st.floats(0, 5), st.sampled_from([0.0, 0.3, 1.0])), max_size=9)


@given(SCORES)
def test_other_spans_keep_scores_and_order(found: list[tuple[float, float]]) -> None:
    fused = [FusedSpan(SpanRef("a", n, n + 1), score, {}) for n, (score, _) in enumerate(found)]
    fused.sort(key=lambda item: -item.score)
    of = {SpanRef("a", n, n + 1): exact for n, (_, exact) in enumerate(found)}
    after = lifted(fused, lambda item: of[item.ref], 5.0)
    assert [i for i in after if not of[i.ref]] == [i for i in fused if not of[i.ref]]
    before = {item.ref: item.score for item in fused}
    for item in after:
        lift = of[item.ref] / 2 * (5 - before[item.ref])
        assert item.score == pytest.approx(before[item.ref] + lift)
    assert [i.score for i in after] == sorted((i.score for i in after), reverse=True)


def test_words_alone_are_not_lifted() -> None:
    for weights, score in (({"bm25": 1.0}, 1.8), ({"bm25": 1.0, "features": 1.0}, 2.7)):
        context = context_of(VIEW, "yeast", weights=weights)
        context.add("bm25", BM25().propose(context))
        best = context.ranked()[0]
        assert "yeast" in VIEW.text(best.ref)
        assert best.score == pytest.approx(score)  # 1.8, and half of the way from there to 3.6
