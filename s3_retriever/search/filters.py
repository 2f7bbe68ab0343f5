"""Filters on metadata: ``{"year": {"$gte": 1990}, "lang": "en"}``.

On a field: ``$eq $ne $in $nin $gt $gte $lt $lte $exists $match``; around filters:
``$and $or $not``. A field that holds a list matches where any of its items does; ``$ne`` and
``$nin`` are the exact negations of ``$eq`` and ``$in``, so they also match where the field is
missing. Numbers compare with numbers, strings with strings; booleans only equal booleans. A date
(``datetime.date``, ``datetime.datetime``, another library's or, in JSON, ``{"$date":
"2024-05-01"}``) compares with the strings that are ISO 8601 dates, as moments: a day is its
midnight, no zone is UTC. ``$match`` finds a piece of text, upper and lower case alike.

Operands are made plain by the rules for metadata (:func:`~s3_retriever.plain.plain_scalar`): a
``numpy.int64`` is the number it says, a UUID its string. What has no plain form is refused, and so
is an order in which nothing can stand (of a list, of NaN): it would match nothing, and its negation
everything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.plain import is_date, items_of, plain_scalar
from s3_retriever.quoting import brief, quoted
from s3_retriever.types import Metadata
from s3_retriever.validation import stored_metadata

__all__ = ["Filter", "compile_filter", "is_operators", "operand_of"]

Filter = Mapping[str, Any]
Predicate = Callable[[Metadata], bool]

_MISSING = object()
_MAX_DEPTH = 64


def compile_filter(condition: Filter) -> Predicate:
    """Turn a filter into a function of a document's metadata.

    Example:
        >>> match = compile_filter({"year": {"$gte": 1990}, "lang": "en"})
        >>> match({"year": 2001, "lang": "en"}), match({"year": 1980, "lang": "en"})
        (True, False)
        >>> compile_filter({"seen": {"$lt": date(1950, 1, 1)}})({"seen": "1902-03-01T06:00+08:00"})
        True

    Raises:
        InputError: an unknown operator or a value of the wrong type.
    """
    return _compile(condition, 0)


def _compile(condition: Filter, depth: int) -> Predicate:
    if not isinstance(condition, Mapping):
        raise InputError(f"a filter is a mapping of fields to conditions, not {quoted(condition)}")
    if depth > _MAX_DEPTH:
        raise InputError(f"a filter may be nested {_MAX_DEPTH} times at most")
    return _all([_clause(key, value, depth + 1) for key, value in condition.items()])


def _clause(key: Any, value: Any, depth: int) -> Predicate:
    if not isinstance(key, str):
        raise InputError(f"a filter's fields and operators are strings, not {quoted(key)}")
    key = str(plain_scalar(key))
    if key in ("$and", "$or"):
        parts = items_of(value)
        if not parts:
            raise InputError(f"{brief(key)} takes a list of filters, not {quoted(value)}")
        compiled = [_compile(part, depth) for part in parts]
        return _all(compiled) if key == "$and" else lambda m: any(p(m) for p in compiled)
    if key == "$not":
        inner = _compile(value, depth)
        return lambda m: not inner(m)
    if key.startswith("$"):
        raise InputError(f"unknown operator {quoted(key)}; known: $and, $or, $not around filters")
    if is_operators(value):
        return _all([_comparison(key, str(name), given) for name, given in value.items()])
    return _comparison(key, "$eq", value)


def is_operators(value: Any) -> bool:
    """Whether a field's condition is a mapping of operators, not a value."""
    if not isinstance(value, Mapping) or _is_date_literal(value):
        return False
    return any(isinstance(name, str) and name.startswith("$") for name in value)


def operand_of(field: str, value: Any, depth: int = 0) -> Any:
    """The plain value that is compared with; a date as a moment.

    Raises:
        InputError: it has no plain form; names ``field``.
    """
    if depth > _MAX_DEPTH:
        raise InputError(f"an operand on field {quoted(field)} is nested too deep")
    if _is_date_literal(value):
        moment = _moment(value["$date"]) if isinstance(value["$date"], str) else None
        if moment is None:
            raise InputError(
                f"$date takes an ISO 8601 date such as 2024-05-01, not {quoted(value['$date'])}"
            )
        return moment
    if (items := items_of(value)) is not None:
        return [operand_of(field, item, depth + 1) for item in items]
    try:
        if isinstance(value, Mapping):
            return stored_metadata(value)
        plain = plain_scalar(value)
    except InputError as e:
        raise InputError(f"an operand on field {quoted(field)} cannot be compared: {e}") from e
    moment = _moment(plain) if is_date(value) and isinstance(plain, str) else None
    return plain if moment is None else moment


def _is_date_literal(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"$date"}


def _comparison(field: str, operator: str, given: Any) -> Predicate:
    operand = operand_of(field, given)
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise InputError(f"$exists takes true or false, not {quoted(given)}")
        return lambda m: (field in m) == operand
    if operator in ("$ne", "$nin"):
        positive = _comparison(field, "$eq" if operator == "$ne" else "$in", given)
        return lambda m: not positive(m)
    if operator == "$in":
        if not isinstance(operand, list):
            raise InputError(f"$in and $nin take a list, not {quoted(given)}")
        return _any_item(field, lambda v: any(_equal(v, o) for o in operand))
    if operator == "$eq":
        return _any_item(field, lambda v: _equal(v, operand), whole=True)
    if operator == "$match":
        if not isinstance(operand, str) or not operand:
            raise InputError(f"$match takes a piece of text, not {quoted(given)}")
        wanted = operand.casefold()
        return _any_item(field, lambda v: isinstance(v, str) and wanted in v.casefold())
    if operator not in _ORDER:
        known = ", ".join(["$eq", "$ne", "$in", "$nin", *_ORDER, "$exists", "$match"])
        raise InputError(
            f"unknown operator {quoted(operator)} on field {quoted(field)}; known: {known}"
        )
    if isinstance(operand, (list, dict)) or (operand is None and given is not None):
        raise InputError(f"{operator} on field {quoted(field)}: {quoted(given)} has no order")
    compare = _ORDER[operator]
    return _any_item(field, lambda v: _ordered(v, operand, compare))


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
    if isinstance(b, datetime):
        return isinstance(a, str) and _moment(a) == b
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    return bool(a == b)


def _ordered(a: Any, b: Any, compare: Callable[[Any, Any], bool]) -> bool:
    """Whether ``a`` stands in that order to ``b``; false for kinds that have no order."""
    if isinstance(b, datetime):
        moment = _moment(a) if isinstance(a, str) else None
        return moment is not None and compare(moment, b)
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return (numbers or (isinstance(a, str) and isinstance(b, str))) and compare(a, b)


@functools.lru_cache(maxsize=65_536)
def _moment(text: str) -> datetime | None:
    """The moment that an ISO 8601 string says, or ``None``."""
    if not text[:4].isdigit():
        return None
    try:
        return _utc(datetime.fromisoformat(text.replace("Z", "+00:00")))
    except (ValueError, OverflowError):
        return None


def _utc(value: date) -> datetime:
    """A day or a moment as a moment with a zone."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}
