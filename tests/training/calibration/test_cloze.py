"""The inverse cloze task: what is taken out, and what it is taken out of."""

from __future__ import annotations

import re

import pytest

from s3_retriever.errors import InputError
from s3_retriever.training.calibration.cloze import MAX_CHARACTERS, inverse_cloze, paragraphs_of


def paragraph(number: int) -> str:
    return (
        f"Town number {number} lies on the river. Its mill was built by family {number}. "
        f"In winter {number} boats carry the flour away."
    )


TEXT = "\n\n".join(f"# Town {n}\n\n{paragraph(n)}" for n in range(15))


def test_the_question_is_missing_from_its_paragraph_and_from_the_context() -> None:
    collections = inverse_cloze([TEXT], limit=None, seed=0)
    assert len(collections) == 15
    golds = []
    for collection in collections:
        (document,), (question,) = collection.documents, collection.questions
        assert question.text not in document.text
        assert len(collection.passages) == 10
        texts = [collection.text(passage) for passage in collection.passages]
        assert document.text == "\n\n".join(texts)
        (gold,) = question.gold_passages
        assert gold in collection.passages
        # put back, the sentence makes one of the original paragraphs; the others are untouched
        numbers = [n for n in range(15) if question.text in paragraph(n)]
        assert len(numbers) == 1
        sentences = paragraph(numbers[0]).replace(question.text, "").split()
        assert collection.text(gold).split() == sentences
        others = [text for p, text in zip(collection.passages, texts, strict=True) if p != gold]
        assert all(text in TEXT for text in others)
        golds += numbers
    assert sorted(golds) == list(range(15))  # each paragraph once


def test_a_context_is_consecutive_paragraphs() -> None:
    for collection in inverse_cloze([TEXT], limit=5, seed=3):
        (gold,) = collection.questions[0].gold_passages
        numbers = [
            int(re.findall(r"\d+", collection.text(p))[0]) for p in collection.passages if p != gold
        ]
        assert max(numbers) - min(numbers) <= 9
        assert numbers == sorted(set(numbers))


def test_the_seed_decides() -> None:
    first, again, other = (inverse_cloze([TEXT], limit=6, seed=s) for s in (1, 1, 2))
    assert first == again
    assert [c.questions[0].text for c in first] != [c.questions[0].text for c in other]
    assert len(first) == 6


def test_a_sentence_that_stands_twice_or_is_short_is_no_question() -> None:
    same = "This very sentence stands in each of them. Yes. Indeed."
    texts = [*(paragraph(n) for n in range(9)), same, same]
    collections = inverse_cloze(["\n\n".join(texts)], limit=None, seed=0)
    questions = [c.questions[0].text for c in collections]
    assert len([q for q in questions if q in same]) <= 1  # a context may hold one of the two
    assert "Yes." not in questions
    alone = inverse_cloze(["\n\n".join(texts[:10])], limit=None, seed=0)
    assert len(alone) == 10
    assert "This very sentence stands in each of them." in [c.questions[0].text for c in alone]


def test_too_little_text() -> None:
    nine = "\n\n".join(paragraph(n) for n in range(9))
    with pytest.raises(InputError, match=r"sentences in the text: 9; 10 are needed"):
        inverse_cloze([nine, "Two sentences. No more."], limit=5, seed=0)
    assert len(inverse_cloze([nine, paragraph(9)], limit=5, seed=0)) == 5


def test_paragraphs_wrapped_by_hand() -> None:
    text = "A title\n\nOne is here. Two is\nthere. And three\r\ntoo.\r\n\r\nOne. Two only.\n"
    assert list(paragraphs_of(text)) == ["One is here. Two is there. And three too."]
    assert list(paragraphs_of("")) == []


def test_a_line_a_paragraph() -> None:
    lines = [paragraph(n) + " It is a long line that nobody wrapped." for n in range(3)]
    assert list(paragraphs_of("\n".join([lines[0], " = Heading = ", *lines[1:]]))) == lines


def test_text_without_paragraphs_is_cut_between_sentences() -> None:
    sentence = "The mill of the town was built by a family of millers."
    pieces = list(paragraphs_of(" ".join([sentence] * 40)))
    assert len(pieces) == 3
    for piece in pieces:
        assert len(piece) <= MAX_CHARACTERS
        assert set(piece.replace(sentence, "")) <= {" "}
    assert " ".join(pieces).count(sentence) == 40
