"""Structured queries of LangChain, which a model writes for SelfQueryRetriever, as filters."""

from __future__ import annotations

from typing import Any

from langchain_core.structured_query import (
    Comparator,
    Comparison,
    Operation,
    Operator,
    StructuredQuery,
    Visitor,
)

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.search.filters import Filter, compile_filter

__all__ = ["EndogenousTranslator"]

_SAME = {
    Comparator.EQ: "$eq",
    Comparator.NE: "$ne",
    Comparator.GT: "$gt",
    Comparator.GTE: "$gte",
    Comparator.LT: "$lt",
    Comparator.LTE: "$lte",
    Comparator.IN: "$in",
    Comparator.NIN: "$nin",
}
_DATES = ("date", "datetime")


class EndogenousTranslator(Visitor):
    """What ``SelfQueryRetriever`` takes as its ``structured_query_translator``.

    ``contain`` finds an item of a list and a piece of a text, ``like`` a piece of a text; ``%`` and
    ``*`` around it are passed over. Where a question is nothing but conditions, the model leaves no
    words to search with: give the retriever ``use_original_query=True``.

    Example:
        >>> late = Comparison(comparator=Comparator.GTE, attribute="year", value=1990)
        >>> asked = StructuredQuery(query="mills", filter=late)
        >>> EndogenousTranslator().visit_structured_query(asked)
        ('mills', {'filter': {'year': {'$gte': 1990}}})
    """

    allowed_operators = tuple(Operator)
    """All that LangChain knows."""
    allowed_comparators = tuple(Comparator)
    """All that LangChain knows."""

    def visit_operation(self, operation: Operation) -> Filter:
        """Conditions that are joined, as a filter; ``not`` passes where none of them does.

        Raises:
            InputError: there is nothing to join, or a condition cannot be translated.
        """
        parts = [argument.accept(self) for argument in operation.arguments]
        if not parts:
            raise InputError(f"the operation {quoted(operation.operator.value)} joins nothing")
        if operation.operator == Operator.NOT:
            return {"$not": parts[0] if len(parts) == 1 else {"$or": parts}}
        return {f"${operation.operator.value}": parts}

    def visit_comparison(self, comparison: Comparison) -> Filter:
        """A condition on one field, as a filter.

        Raises:
            InputError: its value cannot be compared so.
        """
        field, value = comparison.attribute, _plain(comparison.value)
        if comparison.comparator in _SAME:
            found: Filter = {field: {_SAME[comparison.comparator]: value}}
        elif comparison.comparator == Comparator.LIKE:
            found = {field: {"$match": _piece(value)}}
        elif isinstance(value, str) and value:
            found = {"$or": [{field: {"$eq": value}}, {field: {"$match": value}}]}
        else:
            found = {field: {"$eq": value}}
        compile_filter(found)  # says what is wrong with it where it was asked for
        return found

    def visit_structured_query(
        self, structured_query: StructuredQuery
    ) -> tuple[str, dict[str, Any]]:
        """The words to search with, and ``filter`` for the search if there are conditions.

        Raises:
            InputError: a condition cannot be translated.
        """
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": structured_query.filter.accept(self)}


def _plain(value: Any) -> Any:
    """A value as filters know it: LangChain's parser writes dates as mappings."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and value.get("type") in _DATES:
        return {"$date": value.get(value["type"])}
    return value


def _piece(value: Any) -> Any:
    return value.strip("%*") if isinstance(value, str) else value
