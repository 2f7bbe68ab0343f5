"""The index: forward store, candidates and manifest, as one thing that changes by commits.

The forward store is the truth; Tantivy is derived from it. A commit writes the segment, then
Tantivy, then the manifest; whatever a crash leaves that the manifest does not name is ignored, and
cleared by the next writer.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import filelock
import numpy as np

from s3_retriever.errors import IndexLockedError, IndexMismatchError, IndexStorageError
from s3_retriever.generator.weights import sha256_of
from s3_retriever.index.candidates import CandidateIndex
from s3_retriever.index.manifest import SCHEMA, Manifest, SegmentRecord
from s3_retriever.index.segment import Entry, Segment
from s3_retriever.profile import Profile
from s3_retriever.types import CodedDocument, Metadata

__all__ = ["Index", "Snapshot"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """The index as of one commit; what a question sees. Never changes."""

    manifest: Manifest
    segments: Mapping[str, Segment]

    @cached_property
    def live(self) -> dict[str, tuple[Segment, Entry]]:
        """Every document by id."""
        found = {}
        for record in self.manifest.segments:
            segment = self.segments[record.name]
            gone = set(record.deleted)
            for ordinal, entry in enumerate(segment.entries):
                if ordinal not in gone:
                    found[entry.id] = (segment, entry)
        return found

    @cached_property
    def n_tokens(self) -> int:
        """Tokens of all live documents."""
        return sum(entry.n_tokens for _, entry in self.live.values())

    @cached_property
    def n_blocks(self) -> int:
        """Blocks of all live documents."""
        return sum(entry.n_blocks for _, entry in self.live.values())

    @cached_property
    def df(self) -> np.ndarray:
        """Live tokens at which each latent is active: ``(n_hookpoints, n_latents)`` int64.

        Only defined where there is a document.
        """
        total = np.stack([s.df for s in self.segments.values()]).astype(np.int64).sum(axis=0)
        assert isinstance(total, np.ndarray)
        for record in self.manifest.segments:
            segment = self.segments[record.name]
            for ordinal in record.deleted:
                ids = segment.ids[slice(*segment.entries[ordinal].tokens)]
                for hookpoint in range(ids.shape[1]):
                    np.subtract.at(total[hookpoint], ids[:, hookpoint].ravel(), 1)
        return total

    def matching(self, predicate: Callable[[Metadata], bool]) -> dict[str, list[int]]:
        """Numbers of the documents whose metadata pass, by segment name."""
        found: dict[str, list[int]] = {}
        for segment, entry in self.live.values():
            if predicate(entry.metadata):
                found.setdefault(segment.name, []).append(segment.ordinals[entry.id])
        return found


class Index:
    """Coded documents on disk (or in memory), with one writer at a time."""

    def __init__(self, folder: Path | None, profile: Profile) -> None:
        """Open the index in ``folder``, or make ready to create one; ``None`` is in memory.

        Raises:
            IndexStorageError: the folder cannot be used, or its files are damaged.
            IndexMismatchError: it was written with another profile or schema version.
        """
        self.folder = folder
        self._profile = profile
        manifest = Manifest.read(folder) if folder is not None else None
        if manifest is not None:
            self._check_profile(manifest)
        elif folder is not None:
            _make_folder(folder)
        card = profile.card
        self.candidates = CandidateIndex(
            folder / "tantivy" if folder is not None else None,
            len(card.hookpoints),
            card.n_latents,
        )
        self._snapshot = self._load({})

    @property
    def snapshot(self) -> Snapshot:
        """The current state; take it once per question."""
        return self._snapshot

    def refresh(self) -> None:
        """See what another process has committed since."""
        if self.folder is None:
            return
        manifest = Manifest.read(self.folder)
        if manifest and manifest.generation != self._snapshot.manifest.generation:
            self._check_profile(manifest)
            snapshot = self._load(self._snapshot.segments)
            self.candidates.refresh()
            self._snapshot = snapshot

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the writer's lock; other processes and threads get an error at once.

        Raises:
            IndexLockedError: names the process that writes.
        """
        with self._locked():
            try:
                yield
            except BaseException:
                self.candidates.rollback()
                raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self.folder is None:
            yield
            return
        lock = filelock.FileLock(self.folder / "writer.lock", timeout=0)
        holder = self.folder / "writer.txt"
        try:
            lock.acquire()
        except filelock.Timeout as e:
            who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
            raise IndexLockedError(
                f"index {self.folder} is being written by {who}; wait until it is done"
            ) from e
        except OSError as e:
            raise IndexStorageError(f"index {self.folder} is not writable: {e}") from e
        try:
            holder.write_text(f"process {os.getpid()} on {_host()}", encoding="utf-8")
            self.refresh()
            self._clear_leftovers()
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def commit(self, coded: Sequence[CodedDocument], delete: Sequence[str] = ()) -> None:
        """Add documents and delete others (by id) in one step; call inside :meth:`writing`.

        A document whose id is there already replaces it.
        """
        snapshot = self._snapshot
        segments = dict(snapshot.segments)
        records = list(snapshot.manifest.segments)
        gone = {i for i in [*delete, *(c.document.id for c in coded)] if i in snapshot.live}
        records = [self._without(record, segments[record.name], gone) for record in records]
        if coded:
            segment, record = self._write_segment(coded)
            segments[segment.name] = segment
            records.append(record)
        manifest = snapshot.manifest.model_copy(
            update={
                "generation": snapshot.manifest.generation + 1,
                "segments": tuple(r for r in records if len(r.deleted) < _n(segments, r)),
            }
        )
        self.candidates.commit()
        if self.folder is not None:
            manifest.write(self.folder)
        kept = {r.name: segments[r.name] for r in manifest.segments}
        self._snapshot = Snapshot(manifest, kept)
        self._remove_files(set(segments) - set(kept))

    def rebuild_candidates(self) -> None:
        """Make Tantivy anew from the forward store; call inside :meth:`writing`."""
        self.candidates.clear()
        for record in self._snapshot.manifest.segments:
            self.candidates.add(self._snapshot.segments[record.name])
            self.candidates.delete(record.name, record.deleted)
        self.candidates.commit()

    def problems(self) -> Iterator[str]:
        """What a thorough look finds wrong, one sentence each; nothing if all is well."""
        for record in self._snapshot.manifest.segments:
            segment = self._snapshot.segments[record.name]
            gone = set(record.deleted)
            if self.folder is not None and sha256_of(self._path(record.name)) != record.sha256:
                ids = ", ".join(e.id for i, e in enumerate(segment.entries) if i not in gone)
                yield f"segment {record.name} is damaged; its documents are: {ids}"
            expected = sum(e.n_blocks for i, e in enumerate(segment.entries) if i not in gone)
            found = self.candidates.segment_blocks(record.name)
            if found != expected:
                yield (
                    f"segment {record.name} has {found} of {expected} blocks in the search part; "
                    "repair with --repair"
                )

    def _without(self, record: SegmentRecord, segment: Segment, gone: set[str]) -> SegmentRecord:
        """The record with the documents of ``gone`` marked as deleted."""
        before = set(record.deleted)
        ordinals = {n for i in gone if (n := segment.ordinals.get(i)) is not None} - before
        if not ordinals:
            return record
        self.candidates.delete(record.name, ordinals)
        return record.model_copy(update={"deleted": tuple(sorted(before | ordinals))})

    def _write_segment(self, coded: Sequence[CodedDocument]) -> tuple[Segment, SegmentRecord]:
        number = self._snapshot.manifest.generation + 1
        name = f"{number:08d}-{secrets.token_hex(4)}"  # a leftover of a crash is never reused
        segment = Segment.build(name, coded, self._profile.card.n_latents)
        digest, n_bytes = "0" * 64, 0
        if self.folder is not None:
            path = self._path(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                digest = segment.write(path)
            except OSError as e:
                path.with_name(path.name + ".tmp").unlink(missing_ok=True)
                raise IndexStorageError(
                    f"cannot write {path}: {e}; the index is as it was before"
                ) from e
            n_bytes = path.stat().st_size
            segment = Segment.open(path)
        self.candidates.add(segment)
        record = SegmentRecord(name=name, sha256=digest, n_bytes=n_bytes, n_tokens=segment.n_tokens)
        return segment, record

    def _load(self, opened: Mapping[str, Segment]) -> Snapshot:
        """The state on disk; ``opened`` segments are used again."""
        while True:
            manifest = Manifest.read(self.folder) if self.folder is not None else None
            if manifest is None:
                return Snapshot(self._empty_manifest(), {})
            try:
                segments = {r.name: opened.get(r.name) or self._open(r) for r in manifest.segments}
                return Snapshot(manifest, segments)
            except IndexStorageError:
                # a writer may have replaced segments since the manifest was read: look again
                if Manifest.read(self._folder()) == manifest:
                    raise

    def _open(self, record: SegmentRecord) -> Segment:
        path = self._path(record.name)
        if path.exists() and path.stat().st_size != record.n_bytes:
            raise IndexStorageError(
                f"segment {path} has {path.stat().st_size} bytes instead of "
                f"{record.n_bytes}; run: s3-retriever doctor"
            )
        return Segment.open(path)

    def _folder(self) -> Path:
        assert self.folder is not None
        return self.folder

    def _path(self, name: str) -> Path:
        return self._folder() / "segments" / f"{name}.safetensors"

    def _clear_leftovers(self) -> None:
        """Remove what a crashed writer left behind."""
        segments = self._folder() / "segments"
        known = {record.name for record in self._snapshot.manifest.segments}
        found = {p.name.split(".")[0] for p in segments.glob("*.safetensors*")}
        leftovers = found - known
        for name in leftovers:
            logger.warning("removing segment %s, which was never committed", name)
            self.candidates.delete_segment(name)
        if not known and self.candidates.n_blocks():  # a first commit that never came
            self.candidates.clear()
            leftovers = leftovers or {""}
        if leftovers:
            self.candidates.commit()
            self._remove_files(leftovers)

    def _remove_files(self, names: set[str]) -> None:
        if self.folder is None:
            return
        for name in names:
            for path in (self.folder / "segments").glob(f"{name}.safetensors*"):
                path.unlink(missing_ok=True)

    def _check_profile(self, manifest: Manifest) -> None:
        if manifest.fingerprint != self._profile.fingerprint:
            card = self._profile.card
            raise IndexMismatchError(
                f"index {self.folder} was made with profile {manifest.profile!r} "
                f"({manifest.model}, fingerprint {manifest.fingerprint[:12]}), not with "
                f"{card.name!r} ({card.model}, {self._profile.fingerprint[:12]}). Open it with "
                "that profile (if the names are the same: the profile has changed since, use the "
                "release that made the index), or index the documents again in another folder"
            )

    def _empty_manifest(self) -> Manifest:
        return Manifest(
            schema_version=SCHEMA,
            fingerprint=self._profile.fingerprint,
            profile=self._profile.card.name,
            model=self._profile.card.model,
            generation=0,
        )


def _n(segments: Mapping[str, Segment], record: SegmentRecord) -> int:
    return len(segments[record.name].entries)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = [p.name for p in folder.iterdir()]
    except OSError as e:
        raise IndexStorageError(f"cannot create an index in {folder}: {e}") from e
    if set(strangers) - {"segments", "tantivy", "writer.lock", "writer.txt"}:
        raise IndexStorageError(
            f"{folder} is not empty and holds no index ({sorted(strangers)[0]}, ...); "
            "give a new or empty folder"
        )


def _host() -> str:
    import socket

    return socket.gethostname()
