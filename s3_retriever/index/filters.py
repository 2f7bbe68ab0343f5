"""Filters on metadata: ``{"year": {"$gte": 1990}, "lang": "en"}``.

Operators: ``$eq $ne $in $nin $gt $gte $lt $lte $exists`` on a field, ``$and $or $not`` around
filters. A field that holds a list matches where any of its items does; ``$ne`` and ``$nin`` are
the exact negations of ``$eq`` and ``$in``, so they also match where the field is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.types import Metadata

__all__ = ["Filter", "compile_filter"]

Filter = Mapping[str, Any]
Predicate = Callable[[Metadata], bool]

_MISSING = object()


def compile_filter(condition: Filter) -> Predicate:
    """Turn a filter into a function of a document's metadata.

    Example:
        >>> match = compile_filter({"year": {"$gte": 1990}, "lang": "en"})
        >>> match({"year": 2001, "lang": "en"}), match({"year": 1980, "lang": "en"})
        (True, False)

    Raises:
        InputError: an unknown operator or a value of the wrong type.
    """
    if not isinstance(condition, Mapping):
        raise InputError(f"a filter is a mapping of fields to conditions, not {condition!r}")
    return _all([_clause(key, value) for key, value in condition.items()])


def _clause(key: str, value: Any) -> Predicate:
    if key in ("$and", "$or"):
        if not isinstance(value, (list, tuple)) or not value:
            raise InputError(f"{key} takes a list of filters, not {value!r}")
        parts = [compile_filter(v) for v in value]
        return _all(parts) if key == "$and" else lambda m: any(p(m) for p in parts)
    if key == "$not":
        inner = compile_filter(value)
        return lambda m: not inner(m)
    if key.startswith("$"):
        raise InputError(f"unknown operator {key!r}; known: $and, $or, $not around filters")
    if isinstance(value, Mapping) and any(k.startswith("$") for k in value):
        return _all([_comparison(key, op, operand) for op, operand in value.items()])
    return _comparison(key, "$eq", value)


def _comparison(field: str, operator: str, operand: Any) -> Predicate:
    if operator == "$exists":
        return lambda m: (field in m) == bool(operand)
    if operator in ("$ne", "$nin"):
        positive = _comparison(field, "$eq" if operator == "$ne" else "$in", operand)
        return lambda m: not positive(m)
    if operator == "$in":
        if not isinstance(operand, (list, tuple, set, frozenset)):
            raise InputError(f"$in and $nin take a list, not {operand!r}")
        options = list(operand)
        return _any_item(field, lambda v: any(_equal(v, o) for o in options))
    if operator == "$eq":
        return _any_item(field, lambda v: _equal(v, operand), whole=True)
    if operator not in _ORDER:
        known = ", ".join(["$eq", "$ne", "$in", "$nin", *_ORDER, "$exists"])
        raise InputError(f"unknown operator {operator!r} on field {field!r}; known: {known}")
    compare = _ORDER[operator]
    return _any_item(field, lambda v: _comparable(v, operand) and compare(v, operand))


def _any_item(field: str, test: Callable[[Any], bool], *, whole: bool = False) -> Predicate:
    """True where the field, or an item of its list, passes; ``whole`` also tries the list."""

    def predicate(metadata: Metadata) -> bool:
        value = metadata.get(field, _MISSING)
        if value is _MISSING:
            return False
        if isinstance(value, (list, tuple)):
            return (whole and test(value)) or any(test(item) for item in value)
        return test(value)

    return predicate


def _all(parts: list[Predicate]) -> Predicate:
    return lambda m: all(p(m) for p in parts)


def _equal(a: Any, b: Any) -> bool:
    """Equality in which ``True`` is not 1, and a tuple is a list (JSON knows no tuples)."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _comparable(a: Any, b: Any) -> bool:
    """Numbers compare with numbers, strings (and so ISO dates) with strings."""
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return numbers or (isinstance(a, str) and isinstance(b, str))


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}
