"""What the peer methods are made of: units, words, several scores as one."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from s3_retriever_bench.methods.combining import reciprocal_ranks, z_scores
from s3_retriever_bench.methods.units import UnitKind, owners, shared_units, units, words

from s3_retriever import Document, Engine
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
    *of_a, of_b = units(collection, "chunks of 256 tokens", llm)
    assert [llm.count_tokens(collection.text(place)) for place in of_a] == [256, 256, 189]
    assert "".join(map(collection.text, of_a)) == text
    assert of_b == Place("b", 0, 6)


def test_a_character_of_several_tokens_is_in_one_chunk() -> None:
    tiny = tiny_llm()
    tokens = tiny.tokenize("😀")
    assert len(tokens) > 1  # a byte each
    text = "a" + "😀" * 256 + "   "
    found = units(Collection((Document("a", text),), ()), "chunks of 256 tokens", tiny)
    assert found[0].start == 0
    assert found[-1].end >= len(text.rstrip())
    assert all(one.end == two.start for one, two in pairwise(found))
    assert all(text[place.start : place.end].strip() for place in found)


def test_words_are_those_of_bm25() -> None:
    assert words("It's 1887: Café!") == ["it", "s", "1887", "café"]
    assert words("...") == []


def test_z_scores_by_hand() -> None:
    # mean 2, deviation sqrt(2/3); mean 4, deviation sqrt(8); equal scores say nothing
    terms = [np.array([1.0, 2.0, 3.0]), np.array([8.0, 2.0, 2.0]), np.array([5.0, 5.0, 5.0])]
    found = z_scores(terms)
    assert found == pytest.approx([-(1.5**0.5) + 2**0.5, -(0.5**0.5), 1.5**0.5 - 0.5**0.5])
    assert z_scores([np.zeros(0)]).shape == (0,)


def test_reciprocal_ranks_by_hand() -> None:
    # ranks 1, 2, 3 and 3, 2, 1; the zero of the second is no score
    terms = [np.array([0.9, 0.5, 0.1]), np.array([0.0, 1.0, 2.0])]
    assert reciprocal_ranks(terms) == pytest.approx([1 / 61, 1 / 62 + 1 / 62, 1 / 63 + 1 / 61])
    assert reciprocal_ranks([np.array([2.0, 7.0, 2.0, -1.0])], k=1) == pytest.approx(
        [1 / 3, 1 / 2, 1 / 3, 1 / 4]  # equal scores share a rank, and take up one
    )
    assert reciprocal_ranks([np.zeros(0)]).shape == (0,)


def test_a_long_paragraph_is_ranked_in_pieces(llm: TransformersModel) -> None:
    long = "The cat sat on the mat. " * 50  # 7 tokens each
    text = f"One. Two.\n\n{long.strip()}\n\nThree."
    collection = Collection((Document("a", text), Document("b", "Four.")), ())
    found = [collection.text(place) for place in units(collection, "paragraphs", llm)]
    assert [llm.count_tokens(piece) for piece in found] == [4, 256, 94, 2, 2]
    assert (found[0], "".join(found[1:3]), found[3:]) == (
        "One. Two.",
        long.strip(),
        ["Three.", "Four."],
    )


def test_chunks_of_both_sizes(llm: TransformersModel) -> None:
    collection = Collection((Document("a", "The cat sat on the mat. " * 100),), ())
    found = units(collection, "chunks of 128 tokens", llm)
    assert [llm.count_tokens(collection.text(place)) for place in found] == [128] * 5 + [61]


def test_each_sentence_knows_the_paragraph_that_it_begins_in() -> None:
    sentences = [Place("a", 0, 4), Place("a", 5, 9), Place("a", 11, 20), Place("b", 2, 6)]
    paragraphs = [Place("a", 0, 9), Place("a", 11, 30), Place("b", 0, 6), Place("b", 8, 9)]
    assert owners(sentences, paragraphs).tolist() == [0, 0, 1, 2]
    assert owners([], paragraphs).shape == (0,)


def test_a_titled_sentence_is_read_behind_its_paragraphs_first_line(engine: Engine) -> None:
    text = (
        "Skerry Point\nIt stands here. It shines.\n\nA first line that is text.\nMore.\nYet more."
        "\n\nBros.\nThey film. They pay."
        "\n\nOne line. Two sentences."
    )
    collection = Collection((Document("a", text),), ())
    titled = shared_units(engine, "titled sentences").of(collection)
    plain = shared_units(engine, "sentences").of(collection)
    assert titled.places == plain.places
    assert plain.texts == [collection.text(place) for place in plain.places]
    read = dict(zip(plain.texts, titled.texts, strict=True))
    assert read["It shines."] == "Skerry Point\nIt shines."
    assert read["Yet more."] == "Yet more."
    assert read["They pay."] == "Bros.\nThey pay."
    assert read["Two sentences."] == "Two sentences."
    assert "Skerry Point\nSkerry Point" not in "\n".join(titled.texts)


@pytest.mark.parametrize("kind", get_args(UnitKind))
def test_white_space_makes_no_unit(llm: TransformersModel, kind: UnitKind) -> None:
    collection = Collection((Document("a", " \n\n "),), ())
    assert units(collection, kind, llm) == []
