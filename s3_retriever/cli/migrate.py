"""``s3-retriever migrate``: the texts of an index, read again with another profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s3_retriever.cli.display import console
from s3_retriever.cli.index import add_with_bar, read_in
from s3_retriever.cli.opening import existing_manifest, open_engine
from s3_retriever.cli.options import (
    DeviceOption,
    IndexOption,
    ModelOption,
    NamespaceOption,
    ProfileOption,
)
from s3_retriever.errors import InputError
from s3_retriever.storage.namespaces import namespace_folder

__all__ = ["migrate"]


def migrate(
    folder: IndexOption,
    target: Annotated[Path, typer.Option("--to", help="Folder of the new index.")],
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Read an index's texts again with another profile, into a new index."""
    source = namespace_folder(folder, namespace)
    manifest = existing_manifest(source)
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.storage.snapshot import read_snapshot

    documents = read_snapshot(source, manifest).documents()
    if not documents:
        raise InputError(f"index {source} holds no documents")
    engine = open_engine(target, profile or DEFAULT_PROFILE, model, device, create=True)
    report, seconds = add_with_bar(engine, documents)
    console.print(
        f"{target}: {len(report.added)} added, {len(report.updated)} updated, "
        f"{len(report.unchanged)} unchanged; {read_in(report, seconds)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
