"""Commands that keep an index in order; none of them needs the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.filesize import decimal

from s3_retriever.cli.browse import missing
from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.opening import open_documents, place_of
from s3_retriever.cli.options import (
    FilterOption,
    IndexOption,
    NamespaceOption,
    ProfileOption,
    ServedOption,
    UrlOption,
    parse_filter,
    parse_json,
)
from s3_retriever.cli.serving import index_of
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, one_line
from s3_retriever.validation import stored_metadata

__all__ = ["compact", "delete", "export", "import_", "set_metadata", "snapshot"]


def delete(
    ids: Annotated[Optional[list[str]], typer.Argument(help="Ids of documents.")] = None,
    folder: ServedOption = None,
    url: UrlOption = None,
    condition: FilterOption = None,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Remove documents, by their ids or by a filter on their metadata."""
    metadata = parse_filter(condition)
    if bool(ids) == (metadata is not None):
        raise InputError("give either ids or --filter")
    index = index_of(folder, url, namespace, profile)
    store = index.documents(profile)
    if unknown := [i for i in ids or () if i not in store]:
        raise InputError(f"{missing(index.name, unknown)}; nothing was deleted")
    n = store.delete(ids) if ids else store.delete_where(metadata or {})
    _say(f"{n} documents deleted; s3-retriever compact reclaims their space")


def set_metadata(
    folder: IndexOption,
    doc_id: Annotated[str, typer.Argument(help="Id of the document.")],
    metadata: Annotated[str, typer.Argument(help='All of it, as JSON, e.g. \'{"lang": "en"}\'.')],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Replace the metadata of a document; its text is not read again."""
    record = parse_json(metadata, "metadata")
    if not isinstance(record, dict):
        raise InputError(f"metadata is a JSON object, not {type(record).__name__}")
    record = stored_metadata(record)
    store = open_documents(place_of(folder, namespace), profile)
    if not store.update_metadata({doc_id: record}):
        raise InputError(missing(store.location or "", [doc_id]))
    _say(f"{brief(doc_id)}: {brief(json.dumps(record, ensure_ascii=False))}")


def compact(
    folder: IndexOption, namespace: NamespaceOption = None, profile: ProfileOption = None
) -> None:
    """Reclaim the space of deleted documents; searches go on meanwhile."""
    store = open_documents(place_of(folder, namespace), profile)
    with waiting("compacting ..."):
        done = store.compact()
    _say(
        f"{decimal(done.n_bytes[0])} in {done.segments[0]} segments before, "
        f"{decimal(done.n_bytes[1])} in {done.segments[1]} now"
    )


def snapshot(
    folder: IndexOption,
    target: Annotated[Path, typer.Option("--to", help="A new folder for the copy.")],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Copy an index, as of its last commit, to a folder where it can be opened."""
    store = open_documents(place_of(folder, namespace), profile)
    with waiting("copying ..."):
        store.snapshot(target)
    _say(f"{brief(store.location)} copied to {brief(target)}")


def export(
    folder: IndexOption,
    path: Annotated[Path, typer.Option("--to", help="The bundle to write.")],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Write an index's documents and codes into one file."""
    store = open_documents(place_of(folder, namespace), profile)
    with waiting("exporting ..."):
        n = store.export_bundle(path)
    _say(f"{n} documents in {brief(path)} ({decimal(path.stat().st_size)})")


def import_(
    path: Annotated[Path, typer.Argument(help="A bundle that export has written.")],
    folder: IndexOption,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Add a bundle's documents to an index; the same ids are replaced, no text is read again."""
    store = open_documents(place_of(folder, namespace), profile, create=True)
    with waiting("importing ..."):
        report = store.import_bundle(path)
    _say(f"{brief(store.location)}: {len(report.added)} added, {len(report.updated)} updated")


def _say(message: str) -> None:
    console.print(one_line(message), highlight=False, markup=False, soft_wrap=True)
