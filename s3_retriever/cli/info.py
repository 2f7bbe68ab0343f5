"""``s3-retriever info``: what an index holds, without loading a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from s3_retriever.cli.display import print_json, print_table
from s3_retriever.cli.opening import Place, existing_manifest, existing_state, place_of
from s3_retriever.cli.options import IndexOption, JsonOption, NamespaceOption
from s3_retriever.paths import is_url
from s3_retriever.quoting import one_line
from s3_retriever.storage.namespaces import namespaces_in

__all__ = ["info", "namespaces_of"]


def info(
    folder: IndexOption, namespace: NamespaceOption = None, as_json: JsonOption = False
) -> None:
    """Say what is in an index: documents, tokens, sizes, the profile it was made with."""
    record = _describe(place_of(folder, namespace))
    if as_json:
        print_json(record)
        return
    rows = _tables_in(record) if is_url(folder) else _files_in(record)
    rows |= {
        "commits": f"{record['generation']:,}",
        "profile": record["profile"],
        "fingerprint": record["fingerprint"],
        "model": record["model"],
    }
    if names := namespaces_of(folder) if namespace is None else []:
        rows["namespaces"] = ", ".join(names)
    print_table([(name, one_line(value)) for name, value in rows.items()])


def _files_in(record: Mapping[str, Any]) -> dict[str, str]:
    """What stands in a folder."""
    parts = record["forward_bytes"]
    size, per_token = record["bytes"], record["bytes_per_token"]
    return {
        "index": record["path"],
        "documents": f"{record['documents']:,}",
        "tokens": f"{record['tokens']:,} in {record['blocks']:,} blocks"
        f" ({record['deleted_tokens']:,} more of deleted documents)",
        "forward store": f"{decimal(size['forward'])} ({per_token['forward']} bytes a token), "
        f"segments: {record['segments']}",
        "of these": ", ".join(f"{part} {decimal(n)}" for part, n in parts.items()),
        "search part": f"{decimal(size['tantivy'])} ({per_token['tantivy']} bytes a token)",
    }


def _tables_in(record: Mapping[str, Any]) -> dict[str, str]:
    """What stands in a database."""
    size, per_token = record["bytes"], record["bytes_per_token"]
    elsewhere = f", some on {', '.join(record['servers'])}" if record["servers"] else ""
    return {
        "index": record["path"],
        "documents": f"{record['documents']:,}",
        "tokens": f"{record['tokens']:,} in {record['blocks']:,} blocks",
        "partitions": f"{record['partitions']}{elsewhere}",
        "forward store": f"{decimal(size['forward'])} ({per_token['forward']} bytes a token)",
        "search part": f"{decimal(size['search'])} ({per_token['search']} bytes a token), "
        f"batches: {record['batches']}",
    }


def namespaces_of(given: str) -> list[str]:
    """Names of the namespaces of the index that ``--index`` names, sorted."""
    if is_url(given):
        from s3_retriever.storage.postgres.namespaces import namespaces_in as schemas_of

        return schemas_of(existing_state(given).tables.db)
    return namespaces_in(Path(given))


def _describe(place: Place) -> dict[str, Any]:
    """The fields of ``Engine.info`` that need no model."""
    if isinstance(place, str):
        from s3_retriever.storage.postgres.description import describe as described

        view = existing_state(place)
        return described(view) | {"model": view.tables.layout.manifest.model}
    manifest = existing_manifest(place)
    from s3_retriever.storage.description import describe
    from s3_retriever.storage.snapshot import read_snapshot

    return describe(place, read_snapshot(place, manifest)) | {"model": manifest.model}
