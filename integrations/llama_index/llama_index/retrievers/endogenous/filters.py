"""LlamaIndex's metadata filters in the engine's language."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.retrievers.endogenous.nodes import stored_name

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.search.filters import Filter, compile_filter

__all__ = ["looks_up", "stored_filter", "to_filter"]

_SAME: dict[FilterOperator, str] = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.ANY: "$in",  # the engine looks into a field that holds a list
    FilterOperator.CONTAINS: "$eq",
}


def to_filter(filters: MetadataFilters, values: Callable[[str], Iterable[Any]]) -> Filter:
    """The same condition for :meth:`s3_retriever.Engine.retrieve`.

    Args:
        filters: of LlamaIndex, nested or not, with any of its operators.
        values: gives the values that documents have in a field; ``TEXT_MATCH``, which tells upper
            from lower case, is looked up there.

    Raises:
        InputError: something else, an operator that LlamaIndex got after this was written, or a
            text match with something else than text.

    Example:
        >>> year = MetadataFilter(key="year", operator=FilterOperator.GTE, value=1990)
        >>> to_filter(MetadataFilters(filters=[year]), lambda key: [])
        {'$and': [{'year': {'$gte': 1990}}]}
    """
    _check(filters)
    parts = [
        to_filter(part, values) if isinstance(part, MetadataFilters) else _one(part, values)
        for part in filters.filters
    ]
    if not parts:
        return {}
    if filters.condition == FilterCondition.OR:
        return {"$or": parts}
    if filters.condition == FilterCondition.NOT:  # none of them
        return {"$not": {"$or": parts}}
    return {"$and": parts}


def looks_up(filters: MetadataFilters) -> bool:
    """Whether :func:`to_filter` will ask for values: somewhere text is matched as it is spelled.

    Example:
        >>> said = MetadataFilter(key="by", operator=FilterOperator.TEXT_MATCH, value="Ann")
        >>> looks_up(MetadataFilters(filters=[MetadataFilters(filters=[said])]))
        True
    """
    _check(filters)
    return any(
        looks_up(part)
        if isinstance(part, MetadataFilters)
        else getattr(part, "operator", None) == FilterOperator.TEXT_MATCH
        for part in filters.filters
    )


def _check(filters: object) -> None:
    if not isinstance(filters, MetadataFilters):
        raise InputError(f"filters are MetadataFilters, not {type(filters).__name__}")


def stored_filter(condition: Filter) -> Filter:
    """A filter of the engine's language with the names under which the index keeps fields.

    Raises:
        InputError: it is no filter.

    Example:
        >>> stored_filter({"$or": [{"_node": 1}, {"year": {"$gte": 1990}}]})
        {'$or': [{'_node~': 1}, {'year': {'$gte': 1990}}]}
    """
    compile_filter(condition)  # before anything is taken apart
    return _stored(condition)


def _stored(condition: Filter) -> Filter:
    found: dict[str, Any] = {}
    for key, value in condition.items():
        if key in ("$and", "$or"):
            found[key] = [_stored(part) for part in value]
        elif key == "$not":
            found[key] = _stored(value)
        else:
            found[stored_name(key)] = value
    return found


def _one(part: MetadataFilter, values: Callable[[str], Iterable[Any]]) -> Filter:
    if not isinstance(part, MetadataFilter):  # LlamaIndex takes ExactMatchFilter, a subclass
        raise InputError(f"filters hold a {type(part).__name__}, no MetadataFilter")
    key, operator, value = stored_name(part.key), part.operator, part.value
    if operator in _SAME:
        return {key: {_SAME[operator]: value}}
    if operator == FilterOperator.ALL:
        if not isinstance(value, list):
            raise InputError(f"the filter {quoted(operator.value)} on {quoted(key)} takes a list")
        return {"$and": [{key: {"$eq": item}} for item in value]} if value else {}
    if operator == FilterOperator.IS_EMPTY:
        empty: tuple[Any, ...] = (None, "", [])
        equal: list[Filter] = [{key: {"$eq": nothing}} for nothing in empty]
        return {"$or": [{key: {"$exists": False}}, *equal]}
    if operator in (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE):
        if not isinstance(value, str):
            raise InputError(f"the filter {quoted(operator.value)} on {quoted(key)} takes a string")
        if not value:  # every text holds the empty one
            return {key: {"$gte": ""}}
        if operator == FilterOperator.TEXT_MATCH_INSENSITIVE:
            return {key: {"$match": value}}
        # the engine has no match that tells upper from lower case
        texts = {text for text in values(key) if isinstance(text, str)}
        return {key: {"$in": sorted(text for text in texts if value in text)}}
    raise InputError(f"the filter operator {quoted(operator.value)} is not known here")
