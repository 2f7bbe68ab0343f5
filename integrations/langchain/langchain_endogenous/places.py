"""Where other stores say a collection lies, in this library's words: folders and namespaces."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from s3_retriever.client import Client
from s3_retriever.errors import InputError
from s3_retriever.integration import AnyEngine

__all__ = ["collection_of", "ignored", "place_of"]


def place_of(path: str | Path | None, persist_directory: str | Path | None) -> str | Path | None:
    """The index's folder under either name.

    Raises:
        InputError: both are given.

    Example:
        >>> place_of(None, "my-index")
        'my-index'
    """
    if path is not None and persist_directory is not None:
        raise InputError("persist_directory is another name of path: give one of them")
    return persist_directory if path is None else path


def collection_of(engine: AnyEngine, name: str | None) -> AnyEngine:
    """An engine's namespace of that name, or the engine itself.

    Raises:
        InputError: it is no name of a namespace, or the engine is a client, which has its own.
    """
    if name is None:
        return engine
    if isinstance(engine, Client):
        raise InputError("a client has a namespace of its own, Client(url, namespace=...)")
    return engine.namespace(name)


def ignored(embedding: Any) -> None:
    """Say that an embedding model is not used, if there is one."""
    if embedding is not None:
        warnings.warn(
            f"{type(embedding).__name__} is not used: the model that answers finds by itself",
            stacklevel=3,
        )
