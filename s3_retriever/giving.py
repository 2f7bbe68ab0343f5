"""Documents in the forms that people have them in: ours, texts, dicts, those of frameworks."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.types import Document

__all__ = ["Givable", "as_document", "is_one_document", "named"]

_FRAMEWORKS = {
    "langchain_core.documents.base.Document": ("langchain_endogenous.documents", "langchain"),
    "llama_index.core.schema.BaseNode": (
        "llama_index.retrievers.endogenous.nodes",
        "llama-index",
    ),
}
"""By the class: the module whose ``to_document`` converts, and the extra that brings it."""

_TEXTS = ("text", "page_content")
_FIELDS = ("id", "metadata", "type", *_TEXTS)
"""Of a dict; ``type`` is what LangChain's say they are."""


class _WithContent(Protocol):
    """A document of LangChain."""

    @property
    def page_content(self) -> str: ...


class _WithNodeId(Protocol):
    """A document or node of LlamaIndex."""

    @property
    def node_id(self) -> str: ...


Givable = Document | str | Mapping[str, Any] | _WithContent | _WithNodeId
"""What is taken for a document."""


def is_one_document(value: object) -> bool:
    """Whether something is a document in any form, and not several of them.

    Example:
        >>> is_one_document({"text": "Hello."}), is_one_document(["Hello."])
        (True, False)
    """
    return isinstance(value, (str, Document, Mapping)) or _framework_of(value) is not None


def as_document(given: object) -> Any:
    """A text, a dict or a framework's document as a document; anything else as it is.

    A dict has ``text`` (or ``page_content``) and, if need be, ``id`` and ``metadata``. A document
    of a framework has the id under which the framework's own component keeps it.

    Args:
        given: one document.

    Raises:
        InputError: a dict with no text or with other fields, or the framework's part is missing.

    Example:
        >>> as_document({"id": "readme", "text": "Hello.", "metadata": {"lang": "en"}})
        Document(id='readme', text='Hello.', metadata={'lang': 'en'})
    """
    if isinstance(given, str):
        return named(given)
    if isinstance(given, Mapping):
        return _of_mapping(given)
    framework = _framework_of(given)
    if framework is None:
        return given
    module, extra = framework
    try:
        convert = importlib.import_module(module).to_document
    except ImportError as e:
        kind = type(given).__name__
        raise InputError(
            f'it is a {kind} of a framework; run: pip install "s3-retriever[{extra}]"'
        ) from e
    return convert(given)


def named(text: str, metadata: Mapping[str, Any] | None = None) -> Document:
    """A text as a document, under an id made from its contents."""
    contents = text
    if metadata:
        # what cannot be written down no index can keep, which is said where it is checked
        with suppress(TypeError, ValueError, RecursionError):
            contents = f"{json.dumps(metadata, sort_keys=True, default=repr)}\n{text}"
    digest = hashlib.sha256(contents.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(digest[:16], text, metadata or {})


def _framework_of(given: object) -> tuple[str, str] | None:
    """What converts a document, told by the names of its classes: no framework is imported."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(given).__mro__)
    return next((_FRAMEWORKS[name] for name in names if name in _FRAMEWORKS), None)


def _of_mapping(given: Mapping[Any, Any]) -> Document:
    texts = [name for name in _TEXTS if name in given]
    if len(texts) != 1:
        raise InputError(f"a dict needs 'text' or 'page_content', and this one has {_some(given)}")
    if others := [name for name in given if name not in _FIELDS]:
        raise InputError(
            f"a dict has text, id and metadata, and this one {_some(others)}; put it into metadata"
        )
    text, metadata, doc_id = given[texts[0]], given.get("metadata"), given.get("id")
    if doc_id is None and isinstance(text, str) and isinstance(metadata, (Mapping, type(None))):
        return named(text, metadata)
    # without an id it is a text or metadata of a wrong type, which is said where they are checked
    return Document("?" if doc_id is None else doc_id, text, {} if metadata is None else metadata)


def _some(names: Iterable[Any]) -> str:
    shown = [quoted(name) if isinstance(name, str) else type(name).__name__ for name in names]
    return ", ".join(shown[:5]) or "nothing"
