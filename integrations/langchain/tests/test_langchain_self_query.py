"""Structured queries of LangChain as filters."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_core")

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.structured_query import (
    Comparator,
    Comparison,
    Operation,
    Operator,
    StructuredQuery,
)
from langchain_endogenous import EndogenousTranslator

from s3_retriever.errors import InputError
from s3_retriever.search.filters import compile_filter

FILMS = [
    {"year": 1979, "genre": ["horror", "science fiction"], "title": "Alien", "seen": "1979-05-25"},
    {"year": 1982, "genre": ["science fiction"], "title": "Blade Runner", "seen": "1982-06-25"},
    {"year": 1999, "genre": ["drama"], "title": "Magnolia"},
]


def one(comparator, attribute, value):
    return Comparison(comparator=Comparator(comparator), attribute=attribute, value=value)


def years(condition):
    query = StructuredQuery(query="films", filter=condition)
    words, found = EndogenousTranslator().visit_structured_query(query)
    assert (words, list(found)) == ("films", ["filter"])
    passes = compile_filter(found["filter"])
    return [film["year"] for film in FILMS if passes(film)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (one("eq", "year", 1982), [1982]),
        (one("ne", "year", 1982), [1979, 1999]),
        (one("gt", "year", 1982), [1999]),
        (one("gte", "year", 1982), [1982, 1999]),
        (one("lt", "year", 1982), [1979]),
        (one("lte", "year", 1982), [1979, 1982]),
        (one("in", "year", [1979, 1999]), [1979, 1999]),
        (one("nin", "year", [1979, 1999]), [1982]),
        (one("contain", "genre", "horror"), [1979]),
        (one("contain", "title", "runner"), [1982]),
        (one("contain", "year", 1999), [1999]),
        (one("like", "title", "%magno%"), [1999]),
        (one("lt", "seen", {"date": "1980-01-01", "type": "date"}), [1979]),
        (
            one("gte", "seen", {"datetime": "1982-06-25T00:00:00", "type": "datetime"}),
            [1982],
        ),
    ],
)
def test_every_comparator(condition, expected):
    assert years(condition) == expected


def test_every_operator():
    late, horror = one("gt", "year", 1980), one("contain", "genre", "horror")
    for operator, arguments, expected in (
        (Operator.AND, [late, horror], []),
        (Operator.OR, [late, horror], [1979, 1982, 1999]),
        (Operator.NOT, [late], [1979]),
        (Operator.NOT, [horror, one("eq", "year", 1999)], [1982]),
        (Operator.AND, [late, Operation(Operator.NOT, [one("eq", "year", 1999)])], [1982]),
    ):
        assert years(Operation(operator, arguments)) == expected


def test_a_question_without_conditions():
    asked = StructuredQuery(query="mills", filter=None)
    assert EndogenousTranslator().visit_structured_query(asked) == ("mills", {})


@pytest.mark.parametrize(
    "condition",
    [
        one("like", "title", "%"),
        one("gt", "year", [1]),
        one("in", "year", 7),
        one("lt", "seen", {"date": "soon", "type": "date"}),
        Operation(Operator.AND, []),
    ],
)
def test_what_makes_no_sense_is_refused(condition):
    with pytest.raises(InputError):
        years(condition)


@given(st.sampled_from(list(Comparator)), st.text(max_size=5), st.text(max_size=5))
def test_whatever_is_compared_it_is_a_filter_or_refused(comparator, field, value):
    if field.startswith("$"):
        return
    try:
        found = EndogenousTranslator().visit_comparison(one(comparator, field, value))
    except InputError:
        return
    compile_filter(found)
