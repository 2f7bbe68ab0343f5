"""``s3-retriever info``: what an index holds, without loading a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.table import Table

from s3_retriever.cli.display import console, print_json, visible
from s3_retriever.cli.opening import existing_manifest
from s3_retriever.cli.options import IndexOption, JsonOption, NamespaceOption
from s3_retriever.storage.namespaces import namespace_folder, namespaces_in

__all__ = ["info"]


def info(
    folder: IndexOption, namespace: NamespaceOption = None, as_json: JsonOption = False
) -> None:
    """Say what is in an index: documents, tokens, sizes, the profile it was made with."""
    record = _describe(namespace_folder(folder, namespace))
    if as_json:
        print_json(record)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    parts = record["forward_bytes"]
    size, per_token = record["bytes"], record["bytes_per_token"]
    rows = {
        "index": record["path"],
        "documents": f"{record['documents']:,}",
        "tokens": f"{record['tokens']:,} in {record['blocks']:,} blocks"
        f" ({record['deleted_tokens']:,} more of deleted documents)",
        "forward store": f"{decimal(size['forward'])} ({per_token['forward']} bytes a token), "
        f"segments: {record['segments']}",
        "of these": ", ".join(f"{part} {decimal(n)}" for part, n in parts.items()),
        "search part": f"{decimal(size['tantivy'])} ({per_token['tantivy']} bytes a token)",
        "commits": f"{record['generation']:,}",
        "profile": record["profile"],
        "fingerprint": record["fingerprint"],
        "model": record["model"],
    }
    if names := namespaces_in(folder) if namespace is None else []:
        rows["namespaces"] = ", ".join(names)
    for name, value in rows.items():
        table.add_row(name, visible(value))
    console.print(table, highlight=False, markup=False)


def _describe(folder: Path) -> dict[str, Any]:
    """The fields of ``Engine.info`` that need no model."""
    manifest = existing_manifest(folder)
    from s3_retriever.storage.description import describe
    from s3_retriever.storage.snapshot import read_snapshot

    return describe(folder, read_snapshot(folder, manifest)) | {"model": manifest.model}
