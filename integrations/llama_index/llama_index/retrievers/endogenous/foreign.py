"""What LlamaIndex's own indices take and this one does not, and what to use instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever.integration import not_written

__all__ = ["FOREIGN", "check_arguments", "check_output"]

FOREIGN = {
    "storage_context": "path='...' opens or creates the index, which keeps documents itself",
    "index_struct": "from_profile(path=...) opens an index",
    "nodes": "make the index and give them to insert_nodes",
    "objects": "give documents or nodes to insert_nodes",
    "transformations": "documents are kept whole; to split them all the same, run an "
    "IngestionPipeline and give its nodes to insert_nodes",
    "service_context": "LlamaIndex has Settings in its place",
    "vector_store": "there are no vectors; path='...' says where the index lies",
}
"""Names of arguments, and what is said about them."""


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuse arguments that are none of this index's.

    Raises:
        InputError: one that LlamaIndex's other indices have; says what to use.
        TypeError: any other.

    Example:
        >>> try:
        ...     check_arguments({"nodes": []})
        ... except InputError as e:
        ...     print(e)
        nodes is not taken here: make the index and give them to insert_nodes
    """
    for name in given:
        if name in FOREIGN:
            raise InputError(f"{name} is not taken here: {FOREIGN[name]}")
        raise TypeError(f"unexpected argument {name}")


def check_output(llm: Any, options: Mapping[str, Any]) -> None:
    """Refuse objects as answers where nobody but the resident model would write them.

    Args:
        llm: the one that was given, if any.
        options: of a query or chat engine.

    Raises:
        InputError: ``output_cls`` without another model; says what to use.
    """
    if llm is None and options.get("output_cls") is not None:
        raise not_written("output_cls")
