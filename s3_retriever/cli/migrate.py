"""``s3-retriever migrate``: the texts of an index, read again with another profile."""

from __future__ import annotations

from typing import Annotated

import typer

from s3_retriever.cli.display import console
from s3_retriever.cli.index import add_with_bar, read_in
from s3_retriever.cli.opening import (
    Place,
    existing_manifest,
    existing_state,
    open_engine,
    place_of,
    shown,
)
from s3_retriever.cli.options import (
    DeviceOption,
    IndexOption,
    ModelOption,
    NamespaceOption,
    ProfileOption,
)
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief
from s3_retriever.storage.manifest import Manifest
from s3_retriever.types import Document

__all__ = ["migrate"]


def migrate(
    folder: IndexOption,
    target: Annotated[
        str, typer.Option("--to", help="Folder of the new index, or a postgresql:// URL.")
    ],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Read an index's texts again with another profile, into a new index."""
    source, place = place_of(folder, namespace), place_of(target)
    manifest = existing_manifest(source)
    from s3_retriever.profiles.cards import DEFAULT_PROFILE

    documents = _documents(source, manifest)
    if not documents:
        raise InputError(f"index {brief(shown(source))} holds no documents")
    engine = open_engine(
        place, profile or DEFAULT_PROFILE, model, device, create=True, first_layers=True
    )
    report, seconds = add_with_bar(engine, documents)
    console.print(
        f"{brief(shown(place))}: {len(report.added)} added, {len(report.updated)} updated, "
        f"{len(report.unchanged)} unchanged, {len(report.skipped)} skipped; "
        f"{read_in(report, seconds)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _documents(source: Place, manifest: Manifest) -> list[Document]:
    """Every document of an index, whatever profile it was made with."""
    if isinstance(source, str):
        view = existing_state(source)
        return [document for i in view.document_ids() if (document := view.document(i))]
    from s3_retriever.storage.snapshot import read_snapshot

    return read_snapshot(source, manifest).documents()
