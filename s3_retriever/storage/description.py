"""What an index holds, in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot

__all__ = ["describe", "parts_of"]


def describe(folder: Path | None, snapshot: Snapshot) -> dict[str, Any]:
    """Counts, bytes by part, and the profile's name and fingerprint, as plain JSON values."""
    manifest = snapshot.manifest
    forward = sum(r.n_bytes for r in manifest.segments)
    tantivy = _size_of(IndexFolder(folder).search(manifest)) if folder else 0
    tokens = sum(r.n_tokens for r in manifest.segments)
    return {
        "path": str(folder) if folder else None,
        "profile": manifest.profile,
        "fingerprint": manifest.fingerprint,
        "schema_version": manifest.schema_version,
        "documents": len(snapshot.live),
        "tokens": snapshot.n_tokens,
        "deleted_tokens": tokens - snapshot.n_tokens,
        "blocks": snapshot.n_blocks,
        "segments": len(snapshot.segments),
        "generation": manifest.generation,
        "bytes": {"forward": forward, "tantivy": tantivy},
        "forward_bytes": parts_of(snapshot.segments.values()),
        "bytes_per_token": {
            "forward": round(forward / tokens, 1) if tokens else None,
            "tantivy": round(tantivy / tokens, 1) if tokens else None,
        },
    }


def parts_of(segments: Iterable[Segment]) -> dict[str, int]:
    """Bytes of the forward store by what they hold."""
    parts = {"codes": 0, "offsets": 0, "text": 0, "listing": 0, "frequencies": 0, "bounds": 0}
    for segment in segments:
        parts["codes"] += segment.ids.nbytes + segment.activations.nbytes
        parts["offsets"] += segment.starts.nbytes + segment.ends.nbytes
        parts["text"] += sum(e.text[1] - e.text[0] for e in segment.entries)
        parts["listing"] += 2 * len(segment.listing())
        parts["frequencies"] += segment.df.nbytes
        parts["bounds"] += segment.bounds_nbytes
    return parts


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))
