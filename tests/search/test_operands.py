"""Operands of other makes: they mean what they say, or are refused; a negation is no trap."""

from __future__ import annotations

import datetime as dt
import enum
import math
import pathlib
import uuid
from collections import deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from s3_retriever.errors import InputError
from s3_retriever.plain import is_date
from s3_retriever.search.filters import compile_filter
from s3_retriever.validation import stored_metadata
from tests.test_plain import REFUSED, Field, Moment, NaTType, NAType, nested


class Lang(enum.Enum):
    ENGLISH = "en"


METADATA = stored_metadata(
    {
        "year": 1995,
        "price": 0.5,
        "archived": True,
        "lang": "en",
        "day": dt.date(1995, 5, 1),
        "at": dt.datetime(1995, 5, 1, 10, tzinfo=dt.timezone.utc),
        "key": uuid.UUID(int=5),
        "file": "caf\udce9.txt",
        "tags": ["a", "b"],
        "box": {"sides": (1, 2)},
    }
)
SAME: dict[str, tuple[str, Any]] = {
    "int64": ("year", np.int64(1995)),
    "uint16": ("year", np.uint16(1995)),
    "float64": ("year", np.float64(1995)),
    "decimal": ("year", Decimal("1995")),
    "fraction": ("price", Fraction(1, 2)),
    "float16": ("price", np.float16(0.5)),
    "bool_": ("archived", np.True_),
    "str_": ("lang", np.str_("en")),
    "enum": ("lang", Lang.ENGLISH),
    "numpy's day": ("day", np.datetime64("1995-05-01")),
    "a moment that is the day": ("day", dt.datetime(1995, 5, 1)),
    "numpy's moment": ("at", np.datetime64("1995-05-01T10:00:00", "ns")),
    "another library's": ("at", Moment()),
    "another zone": (
        "at",
        dt.datetime(1995, 5, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    ),
    "uuid": ("key", uuid.UUID(int=5)),
    "path": ("file", pathlib.PurePosixPath("caf\udce9.txt")),
    "surrogates": ("file", "caf\udce9.txt"),
    "tuple": ("tags", ("a", "b")),
    "array": ("tags", np.array(["a", "b"])),
    "deque": ("tags", deque("ab")),
    "mapping": ("box", {"sides": deque([np.int64(1), 2])}),
}


@pytest.mark.parametrize("name", SAME)
def test_equal_whatever_makes_it(name: str) -> None:
    field, value = SAME[name]
    operators = [{"$eq": value}]
    if field != "tags":  # $in looks for the items of a field's list
        operators += [{"$in": [value]}, {"$in": (None, value)}]
        assert not compile_filter({field: {"$nin": deque([value])}})(METADATA)
    for positive in (
        {field: value},
        *({field: operator} for operator in operators),
        {"$and": [{"$or": ({field: value},)}]},
    ):
        assert compile_filter(positive)(METADATA)
        assert not compile_filter({"$not": positive})(METADATA)
    assert not compile_filter({field: {"$ne": value}})(METADATA)


ORDERED = [name for name in SAME if not isinstance(SAME[name][1], (dict, tuple, deque))]
ORDERED = [name for name in ORDERED if name not in ("array", "bool_")]


@pytest.mark.parametrize("name", ORDERED)
def test_ordered_whatever_makes_it(name: str) -> None:
    field, value = SAME[name]
    for operator, wanted in {"$gte": True, "$lte": True, "$gt": False, "$lt": False}.items():
        assert compile_filter({field: {operator: value}})(METADATA) == wanted
        assert compile_filter({"$not": {field: {operator: value}}})(METADATA) != wanted


def test_the_other_operators() -> None:
    assert compile_filter({"year": {"$exists": np.True_}})(METADATA)
    assert compile_filter({"lang": {"$match": np.str_("EN")}})(METADATA)
    assert compile_filter({"year": {"$lt": math.inf}})(METADATA)
    assert compile_filter({"year": {"$gt": Decimal("-1E+5000")}})(METADATA)
    assert compile_filter({"gone": np.float64("nan")})({"gone": None})
    assert compile_filter({Field.YEAR: 1995})(METADATA)
    assert compile_filter({np.str_("year"): {np.str_("$eq"): 1995}})(METADATA)
    assert not compile_filter({"box": {"sides": [True, 2]}})(METADATA)


AROUND: dict[str, Any] = {
    "plain": lambda f, v: {f: v},
    "$eq": lambda f, v: {f: {"$eq": v}},
    "$ne": lambda f, v: {f: {"$ne": v}},
    "$in": lambda f, v: {f: {"$in": [1, v]}},
    "$nin": lambda f, v: {f: {"$nin": [v]}},
    "$gte": lambda f, v: {f: {"$gte": v}},
    "list in list": lambda f, v: {f: {"$in": [[v]]}},
    "mapping": lambda f, v: {f: {"a": {"b": v}}},
    "$not": lambda f, v: {"$not": {f: {"$lt": v}}},
    "$or": lambda f, v: {"$or": [{"x": 1}, {"$and": [{f: {"$lte": v}}]}]},
}
WRONG = {
    **REFUSED,
    "a number for a name": {5: 1},
    "a tuple for a name": {"a": {("b",): 1}},
    "no name": {None: 1},
    "nested": nested(900)["deep"],
    "nested mappings": {"a": nested(900)},
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_compared_is_refused(name: str, around: str) -> None:
    with pytest.raises(InputError) as caught:
        compile_filter(AROUND[around]("year", WRONG[name]))
    assert len(str(caught.value)) < 400


NO_ORDER = {
    "list": [1, 2],
    "set": {1},
    "array": np.array([1]),
    "mapping": {"a": 1},
    "nan": math.nan,
    "numpy's nan": np.float32("nan"),
    "decimal nan": Decimal("NaN"),
    "numpy's NaT": np.datetime64("NaT"),
    "NaT": NaTType(1, 1, 1),
    "NA": NAType(),
}


@pytest.mark.parametrize("name", NO_ORDER)
@pytest.mark.parametrize("operator", ["$gt", "$gte", "$lt", "$lte"])
def test_an_order_in_which_nothing_stands_is_refused(name: str, operator: str) -> None:
    for condition in (
        {"year": {operator: NO_ORDER[name]}},
        {"$not": {"year": {operator: NO_ORDER[name]}}},
    ):
        with pytest.raises(InputError, match="no order"):
            compile_filter(condition)


@pytest.mark.parametrize(
    "condition",
    [
        {5: 1},
        {None: 1},
        {("year",): 1},
        {b"year": 1},
        {"year": {5: 1, "$gt": 2}},
        {"year": {"$gt": 2, "max": 3}},
        {"$and": "year"},
        {"$or": {"year": 1}},
        {"$and": [{"year": 1}, [{"year": 1}]]},
        {"year": {"$in": "1995"}},
        {"year": {"$in": {"a": 1}}},
        {"year": {"$nin": iter([1995])}},
        {"year": {"$exists": 1}},
        {"year": {"$exists": 10**5000}},
        {"year": {"$match": 10**5000}},
        {"year": {"$date": dt.timedelta(1)}},
        [("year", 1995)],
        [10**5000],
    ],
    ids=lambda condition: type(condition).__name__,
)
def test_no_filter_at_all(condition: Any) -> None:
    with pytest.raises(InputError):
        compile_filter(condition)


def test_what_pandas_makes() -> None:
    pandas = pytest.importorskip("pandas")
    stamp = pandas.Timestamp("1995-05-01T10:00:00.000000001Z")
    assert is_date(stamp)
    assert compile_filter({"at": stamp})(METADATA)
    assert compile_filter({"at": {"$gt": stamp - pandas.Timedelta(hours=1)}})(METADATA)
    with pytest.raises(InputError, match="no order"):
        compile_filter({"$not": {"at": {"$gt": pandas.NaT}}})
