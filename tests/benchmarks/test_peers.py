"""What the peer methods are made of: units, words, fusion of ranks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from s3_retriever_bench.methods.ranks import reciprocal_rank_fusion
from s3_retriever_bench.methods.units import CHUNK_TOKENS, UnitKind, units, words

from s3_retriever import Document
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import tiny_llm


def test_sentences_of_all_documents_in_order(llm: TransformersModel) -> None:
    collection = Collection(
        (Document("a", "One here.  Two there.\n\nTwo."), Document("b", "B.")), ()
    )
    found = units(collection, "sentences", llm)
    assert [(place.doc_id, collection.text(place)) for place in found] == [
        ("a", "One here."),
        ("a", "Two there."),
        ("a", "Two."),
        ("b", "B."),
    ]


def test_chunks_are_disjoint_and_lose_nothing(llm: TransformersModel) -> None:
    text = "The cat sat on the mat. " * 100  # 7 tokens each
    collection = Collection((Document("a", text), Document("b", "Short.")), ())
    *of_a, of_b = units(collection, "chunks", llm)
    assert [llm.count_tokens(collection.text(place)) for place in of_a] == [256, 256, 189]
    assert "".join(map(collection.text, of_a)) == text
    assert of_b == Place("b", 0, 6)


def test_a_character_of_several_tokens_is_in_one_chunk() -> None:
    tiny = tiny_llm()
    tokens = tiny.tokenize("😀")
    assert len(tokens) > 1  # a byte each
    text = "a" + "😀" * CHUNK_TOKENS + "   "
    found = units(Collection((Document("a", text),), ()), "chunks", tiny)
    assert found[0].start == 0
    assert found[-1].end >= len(text.rstrip())
    assert all(one.end == two.start for one, two in pairwise(found))
    assert all(text[place.start : place.end].strip() for place in found)


def test_words_are_those_of_bm25() -> None:
    assert words("It's 1887: Café!") == ["it", "s", "1887", "café"]
    assert words("...") == []


def test_reciprocal_ranks_by_hand() -> None:
    # a: 1/61; b: 1/62 + 1/61; c: 1/63 + 1/62; d: 1/63
    assert reciprocal_rank_fusion([["a", "b", "c"], ["b", "c", "d"]]) == ["b", "c", "a", "d"]
    assert reciprocal_rank_fusion([["a", "b", "c"], ["d"]]) == ["a", "d", "b", "c"]
    # k = 1: a and c 1/2, b 2/3; k = 0: all 1, the one met first comes first
    assert reciprocal_rank_fusion([["a", "b"], ["c", "b"]], k=1) == ["b", "a", "c"]
    assert reciprocal_rank_fusion([["a", "b"], ["c", "b"]], k=0) == ["a", "b", "c"]
    assert reciprocal_rank_fusion([]) == []


@pytest.mark.parametrize("kind", ["sentences", "chunks"])
def test_white_space_makes_no_unit(llm: TransformersModel, kind: UnitKind) -> None:
    collection = Collection((Document("a", " \n\n "),), ())
    assert units(collection, kind, llm) == []
