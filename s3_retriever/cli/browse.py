"""Commands that show what an index holds; none of them needs the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, print_json, visible
from s3_retriever.cli.info import namespaces_of
from s3_retriever.cli.opening import existing_manifest, existing_state, place_of, shown
from s3_retriever.cli.options import (
    FilterOption,
    IndexOption,
    JsonOption,
    NamespaceOption,
    ProfileOption,
    ServedOption,
    UrlOption,
    parse_filter,
)
from s3_retriever.cli.serving import index_of
from s3_retriever.errors import InputError
from s3_retriever.paths import is_url
from s3_retriever.quoting import brief, quoted
from s3_retriever.storage.namespaces import check_namespace, delete_namespace

__all__ = ["get", "list_", "missing", "namespaces"]


def list_(
    folder: ServedOption = None,
    url: UrlOption = None,
    condition: FilterOption = None,
    limit: Annotated[Optional[int], typer.Option(min=1, help="At most so many.")] = None,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """List ids and metadata of the documents, in order of addition."""
    metadata = parse_filter(condition)
    store = index_of(folder, url, namespace, profile).documents(profile)
    ids = store.ids(metadata, limit)
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
    doc_id: Annotated[str, typer.Argument(help="Id of the document.")],
    folder: ServedOption = None,
    url: UrlOption = None,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the text of a document; with --json its metadata, too."""
    index = index_of(folder, url, namespace, profile)
    found = index.documents(profile).get(doc_id)
    if found is None:
        raise InputError(missing(index.name, [doc_id]))
    if as_json:
        print_json({"id": found.id, "text": found.text, "metadata": found.metadata})
    else:
        # color: into a file or a pipe goes every character
        typer.echo(visible(found.text) if console.is_terminal else found.text, color=True)


def namespaces(
    folder: IndexOption,
    gone: Annotated[
        Optional[str],
        typer.Option("--delete", metavar="NAME", help="Delete this one with all its documents."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the namespaces of an index, one a line, or delete one."""
    if gone is not None:
        _delete_namespace(folder, check_namespace(gone), yes)
        return
    names = [] if is_url(folder) else namespaces_of(folder)
    if not names:  # a folder may be used by these alone
        existing_manifest(place_of(folder))
        names = namespaces_of(folder)
    if as_json:
        print_json({"namespaces": names})
        return
    for name in names:
        _say(name)


def _delete_namespace(folder: str, name: str, yes: bool) -> None:
    place = place_of(folder)
    if name not in namespaces_of(folder):
        raise InputError(
            f"no namespace {quoted(name)} in {brief(shown(place))}; s3-retriever namespaces shows "
            "what is there"
        )
    asked = f"Delete namespace {name} of {brief(shown(place))} with all its documents?"
    if not yes and not typer.confirm(asked, err=True):
        raise InputError("nothing was deleted")
    if isinstance(place, Path):
        delete_namespace(place, name)
    else:
        from s3_retriever.storage.postgres.namespaces import delete_namespace as delete_tables

        delete_tables(existing_state(place).tables.db, name)
    _say(f"namespace {name} deleted")


def missing(index: str, ids: Sequence[str]) -> str:
    """What to say of ids that no document of an index has."""
    named = ", ".join(quoted(i) for i in ids[:3]) + (" ..." if len(ids) > 3 else "")
    return f"no document {named} in {brief(index)}; s3-retriever list shows what is there"


def _plain(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
