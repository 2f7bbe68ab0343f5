"""Commands that keep an index in order; none of them needs the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.filesize import decimal

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.opening import open_index
from s3_retriever.cli.options import (
    FilterOption,
    IndexOption,
    NamespaceOption,
    ProfileOption,
    parse_filter,
)
from s3_retriever.errors import InputError
from s3_retriever.storage.namespaces import namespace_folder

__all__ = ["compact", "delete", "export", "import_", "set_metadata", "snapshot"]


def delete(
    folder: IndexOption,
    ids: Annotated[Optional[list[str]], typer.Argument(help="Ids of documents.")] = None,
    condition: FilterOption = None,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Remove documents, by their ids or by a filter on their metadata."""
    metadata = parse_filter(condition)
    if bool(ids) == (metadata is not None):
        raise InputError("give either ids or --filter")
    index = open_index(namespace_folder(folder, namespace), profile)
    from s3_retriever.storage import maintenance

    n = maintenance.delete(index, ids) if ids else maintenance.delete_where(index, metadata or {})
    _say(f"{n} documents deleted; s3-retriever compact reclaims their space")


def set_metadata(
    folder: IndexOption,
    doc_id: Annotated[str, typer.Argument(help="Id of the document.")],
    metadata: Annotated[str, typer.Argument(help='All of it, as JSON, e.g. \'{"lang": "en"}\'.')],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Replace the metadata of a document; its text is not read again."""
    try:
        record = json.loads(metadata)
    except ValueError as e:
        raise InputError(f"{metadata!r} is not JSON: {e}") from e
    if not isinstance(record, dict):
        raise InputError(f"metadata is a JSON object, not {metadata}")
    index = open_index(namespace_folder(folder, namespace), profile)
    from s3_retriever.storage.maintenance import update_metadata

    if not update_metadata(index, {doc_id: record}):
        raise InputError(f"no document {doc_id!r} in {index.folder}")
    _say(f"{doc_id}: {json.dumps(record, ensure_ascii=False)}")


def compact(
    folder: IndexOption, namespace: NamespaceOption = None, profile: ProfileOption = None
) -> None:
    """Reclaim the space of deleted documents; searches go on meanwhile."""
    index = open_index(namespace_folder(folder, namespace), profile)
    from s3_retriever.storage import maintenance

    with waiting("compacting ..."):
        done = maintenance.compact(index)
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
    index = open_index(namespace_folder(folder, namespace), profile)
    from s3_retriever.storage import maintenance

    with waiting("copying ..."):
        maintenance.snapshot(index, target)
    _say(f"{index.folder} copied to {target}")


def export(
    folder: IndexOption,
    path: Annotated[Path, typer.Option("--to", help="The bundle to write.")],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Write an index's documents and codes into one file."""
    index = open_index(namespace_folder(folder, namespace), profile)
    from s3_retriever.storage.bundle import export_bundle

    with waiting("exporting ..."):
        n = export_bundle(index, path)
    _say(f"{n} documents in {path} ({decimal(path.stat().st_size)})")


def import_(
    path: Annotated[Path, typer.Argument(help="A bundle that export has written.")],
    folder: IndexOption,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
) -> None:
    """Add a bundle's documents to an index; the same ids are replaced, no text is read again."""
    index = open_index(namespace_folder(folder, namespace), profile, create=True)
    from s3_retriever.storage.bundle import import_bundle

    with waiting("importing ..."):
        report = import_bundle(index, path)
    _say(f"{index.folder}: {len(report.added)} added, {len(report.updated)} updated")


def _say(message: str) -> None:
    console.print(message, highlight=False, markup=False, soft_wrap=True)
