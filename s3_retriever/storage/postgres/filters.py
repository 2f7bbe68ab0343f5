"""Filters as conditions of SQL, with the meaning of :mod:`s3_retriever.search.filters`.

What SQL would read otherwise (dates, pieces of text in any case, nests of lists, numbers that a
float cannot tell apart) is only narrowed down by it, and decided by the filter itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from s3_retriever.plain import items_of
from s3_retriever.search.filters import Filter, compile_filter, is_operators, operand_of
from s3_retriever.types import Metadata

__all__ = ["SqlFilter", "sql_filter"]

_EXACT_INTEGERS = 1 << 53


@dataclass(frozen=True)
class SqlFilter:
    """A condition, and what decides on the rows that pass it."""

    sql: str
    """Over the column ``fields``; only constants of this module, never a part of the filter."""
    values: tuple[Any, ...]
    """Of its placeholders."""
    decide: Callable[[Metadata], bool] | None
    """Of a row's metadata; ``None``: the condition has decided."""


@dataclass(frozen=True)
class _Part:
    sql: str
    values: tuple[Any, ...] = ()
    exact: bool = True


_ALL = _Part("true")
_NONE = _Part("false")
_UNSURE = _Part("true", exact=False)


def sql_filter(condition: Filter) -> SqlFilter:
    """A filter as SQL.

    Example:
        >>> sql_filter({"year": {"$exists": True}})
        SqlFilter(sql='(((fields -> %s::text) IS NOT NULL))', values=('year',), decide=None)

    Raises:
        InputError: an unknown operator or a value of the wrong type.
    """
    decide = compile_filter(condition)  # says what is wrong, by the same words as everywhere
    part = _of(condition)
    return SqlFilter(part.sql, part.values, None if part.exact else decide)


def _of(condition: Mapping[str, Any]) -> _Part:
    return _all([_clause(str(name), value) for name, value in condition.items()])


def _clause(name: str, value: Any) -> _Part:
    if name in ("$and", "$or"):
        parts = [_of(part) for part in items_of(value) or ()]
        return _all(parts) if name == "$and" else _any(parts)
    if name == "$not":
        return _negated(_of(value))
    if is_operators(value):
        return _all([_comparison(name, str(operator), one) for operator, one in value.items()])
    return _comparison(name, "$eq", value)


def _comparison(field: str, operator: str, given: Any) -> _Part:
    operand = operand_of(field, given)
    if _is_odd(field):
        return _UNSURE
    if operator == "$exists":
        there = _Part("(fields -> %s::text) IS NOT NULL", (field,))
        return there if operand else _negated(there)
    if operator in ("$ne", "$nin"):
        return _negated(_comparison(field, "$eq" if operator == "$ne" else "$in", given))
    if operator == "$in":
        return _any([_equal_to(field, one, whole=False) for one in operand])
    if operator == "$eq":
        return _equal_to(field, operand, whole=True)
    if operator == "$match":
        return _unsure_where_there(field)
    return _ordered(field, operator, operand)


def _equal_to(field: str, operand: Any, *, whole: bool) -> _Part:
    """The field or an item of its list is equal; ``whole``: a list may be equal as a whole."""
    if isinstance(operand, (datetime, list, dict)) or _is_odd(operand):
        return _unsure_where_there(field) if whole or not isinstance(operand, list) else _UNSURE
    value = json.dumps(operand)
    return _Part(
        "coalesce((fields -> %s::text) = %s::jsonb OR (fields -> %s::text) @> %s::jsonb, false)",
        (field, value, field, f"[{value}]"),
    )


def _ordered(field: str, operator: str, operand: Any) -> _Part:
    if operand is None or isinstance(operand, bool):
        return _NONE
    if isinstance(operand, datetime) or _is_odd(operand):
        return _unsure_where_there(field)
    sign = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}[operator]
    name = json.dumps(field)
    # strict: what lax would do with lists in lists is not what a filter means
    paths = [f"strict $.{name}{items} ? (@ {sign} $v)" for items in ("", "[*]")]
    one = "coalesce(jsonb_path_exists(fields, %s::jsonpath, %s::jsonb, true), false)"
    value = json.dumps({"v": operand})
    return _Part(f"({one} OR {one})", (paths[0], value, paths[1], value))


def _unsure_where_there(field: str) -> _Part:
    return _Part("(fields -> %s::text) IS NOT NULL", (field,), exact=False)


def _is_odd(value: Any) -> bool:
    """Whether PostgreSQL would compare a value otherwise than Python."""
    if isinstance(value, str):  # jsonb has no NUL, and another sign stands for it
        return "\0" in value or "\1" in value
    if isinstance(value, (int, float)):
        return not -_EXACT_INTEGERS < value < _EXACT_INTEGERS
    return False


def _all(parts: list[_Part]) -> _Part:
    return _joined(parts, " AND ") if parts else _ALL


def _any(parts: list[_Part]) -> _Part:
    return _joined(parts, " OR ") if parts else _NONE


def _joined(parts: list[_Part], by: str) -> _Part:
    values = tuple(value for part in parts for value in part.values)
    sql = by.join(f"({part.sql})" for part in parts)
    return _Part(sql, values, all(part.exact for part in parts))


def _negated(part: _Part) -> _Part:
    return _Part(f"NOT ({part.sql})", part.values) if part.exact else _UNSURE
