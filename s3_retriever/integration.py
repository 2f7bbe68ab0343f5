"""What components of any framework do alike with an engine; nothing here knows a framework."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from s3_retriever.engine import Engine
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.progress import reading_bar
from s3_retriever.types import Document, Span
from s3_retriever.validation import problem_of

__all__ = [
    "add_with_bar",
    "chat_from_config",
    "open_engine",
    "renamed_argument",
    "restored",
    "select_spans",
]

_OF_ENGINE = ("model", "device", "dtype", "scan", "retrieve")

T = TypeVar("T")


def open_engine(
    profile: Any, path: Any, options: Mapping[str, Any]
) -> tuple[Engine, dict[str, Any]]:
    """Load an engine, and give back the options that are not its own.

    Args:
        profile: as of :meth:`Engine.from_profile`.
        path: as there.
        options: of :meth:`Engine.from_profile` and of a component around it.

    Raises:
        EndogenousError: as :meth:`Engine.from_profile`.
    """
    own = {name: value for name, value in options.items() if name not in _OF_ENGINE}
    of_engine = {name: value for name, value in options.items() if name in _OF_ENGINE}
    return Engine.from_profile(profile, path, **of_engine), own


def add_with_bar(
    engine: Engine, documents: Sequence[Document], *, show_progress: bool
) -> tuple[list[str], list[str]]:
    """Read documents and put them into the index; those that cannot be used are left out.

    Args:
        engine: the model and the index.
        documents: may be none.
        show_progress: draw a bar.

    Returns:
        Ids of those in the index now, and of those left out, each in the order given.

    Raises:
        InputError: documents were given and all of them are unusable.
        IndexStorageError: the index's folder cannot be written.
    """
    if not documents:
        return [], []
    usable = [document.text for document in documents if problem_of(document) is None]
    with reading_bar(usable, show=show_progress) as on_progress:
        report = engine.add(documents, on_progress=on_progress)
    indexed = {*report.added, *report.updated, *report.unchanged}
    ids = [document.id for document in documents]
    return [i for i in ids if i in indexed], [i for i in ids if i not in indexed]


def select_spans(
    engine: Engine, question: str, documents: Sequence[Document], **arguments: Any
) -> list[Span]:
    """The spans of another store's documents that a question needs, with their metadata.

    Args:
        engine: reads the documents for this question and forgets them.
        question: plain text.
        documents: those that cannot be used are left out. Their metadata may hold what no index
            could keep: they go round the engine.
        **arguments: of :meth:`Engine.retrieve`.

    Raises:
        InputError: the question is empty.
    """
    metadata = {document.id: document.metadata for document in documents}
    bare = [replace(document, metadata={}) for document in documents]
    usable = [document for document in bare if problem_of(document) is None]
    if not usable:
        return []
    spans = engine.select(question, usable, **arguments)
    return [replace(span, metadata=metadata[span.doc_id]) for span in spans]


def restored(make: Callable[..., T], config: Mapping[str, Any], engine: Engine | None) -> T:
    """Make a component of what its ``to_config`` gave: ``engine`` and its own settings.

    Args:
        make: the component's class.
        config: by way of JSON or not.
        engine: use this one instead of loading what the configuration names.

    Raises:
        EndogenousError: as :meth:`Engine.from_config`.
    """
    own = {name: value for name, value in config.items() if name != "engine"}
    return make(engine=engine or Engine.from_config(config["engine"]), **own)


def chat_from_config(
    make: Callable[..., T], config: Mapping[str, Any], llm: LanguageModel | None
) -> T:
    """Make a chat model of what its ``to_config`` gave: ``model`` and its own settings.

    Args:
        make: the chat model's class.
        config: by way of JSON or not.
        llm: use this one instead of loading what the configuration names.

    Raises:
        ModelError: the weights cannot be found or read.
    """
    own = {name: value for name, value in config.items() if name != "model"}
    return make(llm=llm or TransformersModel.load(config["model"]), **own)


def renamed_argument(data: Any, old: str, new: str) -> Any:
    """Arguments with the name that one of them has today, with a warning about the older one.

    Example:
        >>> renamed_argument({"llm": 1}, "generator", "llm")
        {'llm': 1}
    """
    if not isinstance(data, Mapping) or old not in data:
        return data
    warnings.warn(f"{old}= is {new}= now", DeprecationWarning, stacklevel=2)
    return {new if name == old else name: value for name, value in data.items()}
