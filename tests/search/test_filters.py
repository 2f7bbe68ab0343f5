"""Filters, compared with a naive reading of their definition."""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import InputError
from s3_retriever.search.filters import compile_filter

SCALARS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, -2.5]),
    st.booleans(),
    st.sampled_from(
        ["a", "b", "Ab", "2024-01-02", "2024-01-02T10:00:00", "2024-01-02T12:00+02:00"]
    ),
    st.none(),
)
DATES = st.sampled_from(
    [
        date(2024, 1, 2),
        datetime(2024, 1, 2, 10),
        datetime(2024, 1, 2, 11, tzinfo=timezone(timedelta(hours=1))),
        {"$date": "2024-01-02"},
        {"$date": "2024-01-02T10:00:00Z"},
    ]
)
OPERANDS = SCALARS | DATES
METADATA = st.dictionaries(
    st.sampled_from("xyz"), st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=3
)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]), OPERANDS),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(OPERANDS, max_size=3)),
    st.tuples(st.just("$match"), st.sampled_from(["a", "AB", "2024", "T1"])),
    st.tuples(st.just("$exists"), st.booleans()),
)
CLAUSES = st.builds(lambda f, o: {f: {o[0]: o[1]}}, st.sampled_from("xyz"), OPERATIONS)
FILTERS = st.recursive(
    CLAUSES,
    lambda inner: st.one_of(
        st.builds(lambda v: {"$and": v}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"$or": v}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"$not": v}, inner),
    ),
    max_leaves=6,
)


MOMENTS = {  # written out, not computed
    "2024-01-02": 0,
    "2024-01-02T10:00:00": 10,
    "2024-01-02T12:00+02:00": 10,
    "2024-01-02T10:00:00Z": 10,
    date(2024, 1, 2): 0,
    datetime(2024, 1, 2, 10): 10,
    datetime(2024, 1, 2, 11, tzinfo=timezone(timedelta(hours=1))): 10,
}
"""Hours of that day."""


def moment(value: Any) -> Any:
    return MOMENTS.get(value["$date"] if isinstance(value, dict) else value)


def is_date(value: Any) -> bool:
    return isinstance(value, (date, dict))


def same(a: Any, b: Any) -> bool:
    if is_date(b):
        return isinstance(a, str) and moment(a) == moment(b)
    return isinstance(a, bool) == isinstance(b, bool) and a == b


def ordered(a: Any, b: Any, compare: Callable[[Any, Any], bool]) -> bool:
    if is_date(b):
        return isinstance(a, str) and a in MOMENTS and compare(moment(a), moment(b))
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    both = (a, b)
    numbers = all(isinstance(v, (int, float)) for v in both)
    return (numbers or all(isinstance(v, str) for v in both)) and compare(a, b)


def naive(condition: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """The definition, one operator a line."""
    ((key, value),) = condition.items()
    if key == "$and":
        return all(naive(v, metadata) for v in value)
    if key == "$or":
        return any(naive(v, metadata) for v in value)
    if key == "$not":
        return not naive(value, metadata)
    ((operator, operand),) = value.items()
    if operator == "$exists":
        return (key in metadata) == operand
    field = metadata.get(key, [])
    values = field if isinstance(field, list) else [field]
    return {
        "$eq": lambda: any(same(v, operand) for v in values),
        "$ne": lambda: not any(same(v, operand) for v in values),
        "$in": lambda: any(same(v, o) for v in values for o in operand),
        "$nin": lambda: not any(same(v, o) for v in values for o in operand),
        "$gt": lambda: any(ordered(v, operand, op.gt) for v in values),
        "$gte": lambda: any(ordered(v, operand, op.ge) for v in values),
        "$lt": lambda: any(ordered(v, operand, op.lt) for v in values),
        "$lte": lambda: any(ordered(v, operand, op.le) for v in values),
        "$match": lambda: any(isinstance(v, str) and operand.lower() in v.lower() for v in values),
    }[operator]()


@given(FILTERS, METADATA)
def test_like_the_definition(condition: dict[str, Any], metadata: dict[str, Any]) -> None:
    assert compile_filter(condition)(metadata) == naive(condition, metadata)


def test_plain_values_and_several_fields() -> None:
    match = compile_filter({"lang": "en", "year": {"$gte": 1990, "$lt": 2000}})
    assert match({"lang": "en", "year": 1995})
    assert not match({"lang": "en", "year": 2000})
    assert not match({"lang": "de", "year": 1995})
    assert compile_filter({})({})


def test_a_list_equals_a_list_or_one_of_its_items() -> None:
    assert compile_filter({"tags": ["a", "b"]})({"tags": ["a", "b"]})
    assert compile_filter({"tags": "a"})({"tags": ["a", "b"]})


@pytest.mark.parametrize(
    "condition",
    [
        {"$xor": []},
        {"year": {"$near": 3}},
        {"$and": {"a": 1}},
        {"$or": []},
        {"year": {"$in": 3}},
        "year = 3",
        {"$not": 3},
        {"year": {"$exists": "yes"}},
        {"title": {"$match": ""}},
        {"title": {"$match": 3}},
        {"day": {"$gt": {"$date": "yesterday"}}},
        {"day": {"$gt": {"$date": 3}}},
        {1: 2},
    ],
)
def test_mistakes_are_named(condition: Any) -> None:
    with pytest.raises(InputError):
        compile_filter(condition)


def test_a_filter_too_deep_is_no_crash() -> None:
    condition: dict[str, Any] = {"a": 1}
    for _ in range(5000):
        condition = {"$not": condition}
    with pytest.raises(InputError, match="nested"):
        compile_filter(condition)
