"""``s3-retriever info``: what an index holds, without loading a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.filesize import decimal
from rich.table import Table

from s3_retriever.cli.display import console, print_json, visible
from s3_retriever.cli.opening import existing_manifest
from s3_retriever.cli.options import IndexOption, JsonOption

__all__ = ["info"]


def info(folder: IndexOption, as_json: JsonOption = False) -> None:
    """Say what is in an index: documents, tokens, sizes, the profile it was made with."""
    record = _describe(folder)
    if as_json:
        print_json(record)
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    size, per_token = record["bytes"], record["bytes_per_token"]
    rows = {
        "index": record["path"],
        "documents": f"{record['documents']:,}",
        "tokens": f"{record['tokens']:,} in {record['blocks']:,} blocks",
        "forward store": f"{decimal(size['forward'])} ({per_token['forward']} bytes a token), "
        f"segments: {record['segments']}",
        "search part": f"{decimal(size['tantivy'])} ({per_token['tantivy']} bytes a token)",
        "commits": f"{record['generation']:,}",
        "profile": record["profile"],
        "fingerprint": record["fingerprint"],
        "model": record["model"],
    }
    for name, value in rows.items():
        table.add_row(name, visible(value))
    console.print(table, highlight=False, markup=False)


def _describe(folder: Path) -> dict[str, Any]:
    """The fields of ``Engine.info`` that need no model."""
    manifest = existing_manifest(folder)
    from s3_retriever.index.segment import Segment
    from s3_retriever.index.store import Snapshot

    segments = {
        record.name: Segment.open(folder / "segments" / f"{record.name}.safetensors")
        for record in manifest.segments
    }
    snapshot = Snapshot(manifest, segments)
    forward = sum(record.n_bytes for record in manifest.segments)
    tantivy = sum(path.stat().st_size for path in (folder / "tantivy").glob("*"))
    tokens = sum(record.n_tokens for record in manifest.segments)
    return {
        "path": str(folder),
        "profile": manifest.profile,
        "fingerprint": manifest.fingerprint,
        "model": manifest.model,
        "documents": len(snapshot.live),
        "tokens": snapshot.n_tokens,
        "blocks": snapshot.n_blocks,
        "segments": len(segments),
        "generation": manifest.generation,
        "bytes": {"forward": forward, "tantivy": tantivy},
        "bytes_per_token": {
            "forward": round(forward / tokens, 1) if tokens else None,
            "tantivy": round(tantivy / tokens, 1) if tokens else None,
        },
    }
