"""Commands that show what an index holds; none of them needs the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, print_json, visible
from s3_retriever.cli.info import namespaces_of
from s3_retriever.cli.opening import existing_manifest, open_documents, place_of
from s3_retriever.cli.options import (
    FilterOption,
    IndexOption,
    JsonOption,
    NamespaceOption,
    ProfileOption,
    parse_filter,
)
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, quoted
from s3_retriever.storage.base import DocumentStore

__all__ = ["get", "list_", "missing", "namespaces"]


def list_(
    folder: IndexOption,
    condition: FilterOption = None,
    limit: Annotated[Optional[int], typer.Option(min=1, help="At most so many.")] = None,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List ids and metadata of the documents, in order of addition."""
    store = open_documents(place_of(folder, namespace), profile)
    ids = store.ids(parse_filter(condition), limit)
    known = dict(store.metadata())
    if as_json:
        documents = [{"id": i, "metadata": known[i]} for i in ids]
        print_json({"documents": documents, "total": len(store)})
        return
    for doc_id in ids:
        _say(f"{brief(doc_id)}  {brief(_plain(known[doc_id]))}")
    if limit is not None and len(ids) == limit:
        _say(f"{len(ids)} shown; --limit shows more")


def get(
    folder: IndexOption,
    doc_id: Annotated[str, typer.Argument(help="Id of the document.")],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the text of a document; with --json its metadata, too."""
    store = open_documents(place_of(folder, namespace), profile)
    found = store.get(doc_id)
    if found is None:
        raise InputError(missing(store, [doc_id]))
    if as_json:
        print_json({"id": found.id, "text": found.text, "metadata": found.metadata})
    else:
        # color: into a file or a pipe goes every character
        typer.echo(visible(found.text) if console.is_terminal else found.text, color=True)


def namespaces(folder: IndexOption, as_json: JsonOption = False) -> None:
    """List the namespaces of an index, one a line."""
    existing_manifest(place_of(folder))
    names = namespaces_of(folder)
    if as_json:
        print_json({"namespaces": names})
        return
    for name in names:
        _say(name)


def missing(store: DocumentStore, ids: Sequence[str]) -> str:
    """What to say of ids that no document has."""
    named = ", ".join(quoted(i) for i in ids[:3]) + (" ..." if len(ids) > 3 else "")
    return f"no document {named} in {brief(store.location)}; s3-retriever list shows what is there"


def _plain(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
