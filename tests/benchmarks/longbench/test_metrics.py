"""LongBench's scores against values worked out by hand from its definitions."""

from __future__ import annotations

import sys

import pytest
from s3_retriever_bench.longbench.metrics import qa_f1, require_rouge, rouge_l, score

from s3_retriever.errors import InputError


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("Ada Quill", "Ada Quill", 1.0),
        ("The ADA, quill!", "ada quill", 1.0),  # case, punctuation and articles do not count
        ("It was Ada Quill.", "Ada Quill", 2 * (2 / 4) * 1 / (2 / 4 + 1)),  # 2 of 4, 2 of 2
        ("ada ada ada", "Ada Quill Ada", 2 / 3),  # 2 of 3 both ways: a bag, not a set
        ("well-known", "well known", 0.0),  # punctuation goes without a gap: "wellknown"
        ("a an the", "the", 0.0),  # nothing is left
        ("theatre", "atre", 0.0),  # an article inside a word stays
        ("Yes", "no", 0.0),
        ("", "no", 0.0),
    ],
)
def test_f1(prediction: str, answer: str, expected: float) -> None:
    assert qa_f1(prediction, answer) == pytest.approx(expected)


def f(precision: float, recall: float) -> float:
    """As the package has it, with its small denominator."""
    return 2 * precision * recall / (precision + recall + 1e-8)


@pytest.mark.parametrize(
    ("prediction", "answer", "expected"),
    [
        ("the cat sat", "the cat sat", f(1, 1)),
        # the longest common subsequence is "the cat on": 3 of 4 words, 3 of 5
        ("the cat on it", "the fat cat was on", f(3 / 4, 3 / 5)),
        # sentence by sentence: r1 shares {the, cat} and {the, ran}, r2 adds {sat} and {dog}:
        # 5 of the 6 different words of the answer, 5 of the 5 of the prediction
        ("the cat sat. the dog ran.", "the cat ran. a dog sat.", f(1, 5 / 6)),
        # a word that comes again counts once: {no} of {no, way}, {no} of {no}
        ("no no no", "no way", f(1, 1 / 2)),
        # nothing is normalised, neither case nor commas
        ("The cat, sat", "the cat sat", f(1 / 3, 1 / 3)),
        ("dogs", "cats", 0.0),
        ("", "cats", 0.0),  # the package refuses it
        ("...", "cats", 0.0),
        ("cats", "", 0.0),
    ],
)
def test_rouge_l(prediction: str, answer: str, expected: float) -> None:
    assert rouge_l(prediction, answer) == pytest.approx(expected)


def test_a_sentence_without_end_counts_nothing() -> None:
    """The package's recursion is as deep as two sentences are long; LongBench counts 0."""
    assert rouge_l("no " * 20, "no way") > 0
    assert rouge_l("no " + "yes " * 2000, "no") == 0.0


def test_the_best_of_the_gold_answers_counts() -> None:
    assert score("f1", "Ada Quill", ["Quill", "Ada Quill", "no"]) == 1.0
    assert score("rouge-l", "a b", ["c", "a d"]) == pytest.approx(f(1 / 2, 1 / 2))
    assert score("f1", "Ada", []) == 0.0


def test_the_extra_is_named_where_rouge_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rouge", None)
    with pytest.raises(InputError, match="pip install s3-retriever-bench"):
        require_rouge()
