"""The index: forward store, candidates and manifest, as one thing that changes by commits.

The forward store is the truth; Tantivy is derived from it. A commit writes the segment, adds its
blocks to Tantivy, writes the manifest by rename, and only then takes what is gone out of Tantivy:
at every moment Tantivy holds at least the blocks that the manifest on disk needs, and what it holds
beyond them is ignored. The next writer puts right what a dead one left.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from s3_retriever.errors import IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.search.base import BlockIndex
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.storage.files import write_durably
from s3_retriever.storage.folder import IndexFolder, make_index_folder
from s3_retriever.storage.lock import writer_lock
from s3_retriever.storage.manifest import MANIFEST, SCHEMA, Manifest, SegmentRecord
from s3_retriever.storage.merging import LiveSegment, taken_along, worn_out
from s3_retriever.storage.opening import BlockIndexFactory, Opener
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot
from s3_retriever.storage.view import View
from s3_retriever.types import EncodedDocument

__all__ = ["Index", "Snapshot", "View"]

logger = logging.getLogger(__name__)

_Segments = Mapping[str, Segment]


class Index:
    """Coded documents on disk (or in memory), with one writer at a time."""

    def __init__(
        self,
        folder: Path | None,
        card: ProfileCard,
        weights: str | None = None,
        *,
        view: View | None = None,
        engine: BlockIndexFactory = TantivyIndex.open,
    ) -> None:
        """Open the index in ``folder``, or make ready to create one; ``None`` is in memory.

        Args:
            folder: is created if need be.
            card: of the profile whose codes the index holds.
            weights: ``weights_digest`` of the model that will read texts for it, up to the
                profile's last layer; ``None`` if none will.
            view: what was found in a folder that does not open any more (for repair).
            engine: opens the search part.

        Raises:
            IndexStorageError: the folder cannot be used, or its files are damaged.
            IndexMismatchError: it was written with another profile, other weights of the model
                or a newer schema version.
        """
        self.folder = folder
        self.card = card
        self._weights = weights
        self._files = IndexFolder(folder) if folder is not None else None
        self._opener = Opener(self._files, card, weights, engine)
        self._publishing = threading.Lock()
        self._stamp = self._look()
        if view is not None:
            view.snapshot.manifest.check(card, weights, f"index {folder}")
        elif self._files is not None and self._stamp is None:
            make_index_folder(self._files.path)
        self._view = view or self._opener.load(None)

    @property
    def view(self) -> View:
        """The current state; take it once per question."""
        return self._view

    @property
    def snapshot(self) -> Snapshot:
        """The documents of the current state."""
        return self._view.snapshot

    @property
    def candidates(self) -> BlockIndex:
        """The search part of the current state."""
        return self._view.candidates

    def refresh(self) -> None:
        """See what another process has committed since; costs microseconds if that is nothing.

        Raises:
            IndexStorageError: what was committed cannot be read.
        """
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return
        with self._publishing:
            if stamp == self._stamp:  # another thread was faster
                return
            self._view = self._opener.load(self._view)
            self._stamp = stamp  # of before the load: a commit during it is seen the next time

    @property
    def weights(self) -> str | None:
        """``weights_digest`` of the model that read the texts, where that is known."""
        return self._weights or self.snapshot.manifest.weights

    def check(self, manifest: Manifest, what: str) -> None:
        """Make sure that ``what`` was made with this index's profile and weights.

        Raises:
            IndexMismatchError: it was not; names both sides and the way out.
        """
        manifest.check(self.card, self.weights, what)

    def accept(self, manifest: Manifest, what: str) -> None:
        """As :meth:`check`, for codes that are taken over; call inside :meth:`writing`.

        Where the index does not know its weights yet, the next commit records those of ``what``.

        Raises:
            IndexMismatchError: as :meth:`check`.
        """
        self.check(manifest, what)
        self._weights = self.weights or manifest.weights

    @contextmanager
    def writing(self, wait: float = 0) -> Iterator[None]:
        """Hold the writer's lock; other processes and threads get an error at once.

        Args:
            wait: seconds that whoever writes now may take to finish.

        Raises:
            IndexLockedError: names the process that writes.
            IndexStorageError: the folder is not writable.
        """
        if self._files is None:
            yield
            return
        with writer_lock(self._files.path, wait):
            self.refresh()
            self._recover()
            try:
                yield
            except BaseException:
                self.refresh()  # to what is on disk, whatever of it was still done
                self._files.remove_unnamed(self.snapshot.manifest)  # on a full disk, room at once
                raise

    def commit(self, coded: Sequence[EncodedDocument], delete: Iterable[str] = ()) -> None:
        """Add documents and delete others (by id) in one step; call inside :meth:`writing`.

        A document whose id is there already replaces it.

        Raises:
            IndexStorageError: the disk is full, say; the index is as it was before.
        """
        snapshot = self.snapshot
        before = {record.name: record for record in snapshot.manifest.segments}
        gone = {i for i in [*delete, *(c.document.id for c in coded)] if i in snapshot.live}
        segments = dict(snapshot.segments)
        marked = [_without(r, segments[r.name], gone) for r in before.values()]
        kept = [r for r in marked if len(r.deleted) < len(segments[r.name].entries)]
        records = []
        for part in self._parts(kept, coded):
            if isinstance(part, SegmentRecord):
                records.append(part)
            else:
                segment, record = self._write_segment(part)
                segments[record.name] = segment
                records.append(record)
        new = [record for record in records if record.name not in before]
        manifest = self._next(records)
        candidates: BlockIndex = self.candidates
        if manifest.generation == 1:
            candidates = self._opener.search_part(manifest, create=True)
        if new:
            candidates = self._with_blocks(candidates, new, segments)
        self._publish(manifest, segments, candidates)

        staying = [record for record in records if record.name in before]
        affected = {r.name: set(r.deleted) - set(before[r.name].deleted) for r in staying}
        dead = set(before) - {record.name for record in staying}
        self._after_commit(dead, {name: numbers for name, numbers in affected.items() if numbers})

    def _parts(
        self, kept: Sequence[SegmentRecord], coded: Sequence[EncodedDocument]
    ) -> Iterator[SegmentRecord | list[EncodedDocument]]:
        """Segments that stay, and documents of those that are written anew, in order.

        A segment that is damaged stays as it is: doctor has to see it.
        """
        live = [LiveSegment(r, _live_tokens(self.snapshot.segments[r.name], r)) for r in kept]
        n_taken = taken_along(live, sum(map(len, coded))) if coded else 0
        at = len(live) - n_taken
        for segment in live[:at]:
            again = self._sound_documents(segment.record) if worn_out(segment) else None
            yield segment.record if again is None else again
        together: list[EncodedDocument] = []
        for segment in live[at:]:
            again = self._sound_documents(segment.record)
            if again is not None:
                together += again
                continue
            if together:
                yield together
                together = []
            yield segment.record
        if together or coded:
            yield [*together, *coded]

    def _sound_documents(self, record: SegmentRecord) -> list[EncodedDocument] | None:
        """The live documents of a segment; ``None`` if one is not as it was written."""
        segment = self.snapshot.segments[record.name]
        gone = set(record.deleted)
        entries = [e for n, e in enumerate(segment.entries) if n not in gone]
        if not all(segment.is_sound(entry) for entry in entries):
            return None
        return [segment.encoded(entry) for entry in entries]

    def replace(self, parts: Iterable[SegmentRecord | Sequence[EncodedDocument]]) -> None:
        """Make the index consist of ``parts``, in that order; call inside :meth:`writing`.

        The search part is built anew, in a folder of its own, so that questions go on meanwhile.

        Args:
            parts: segments that stay as they are, and documents of new ones.

        Raises:
            IndexStorageError: the disk is full, say; the index is as it was before.
        """
        segments: dict[str, Segment] = {}
        records = []
        for part in parts:
            if isinstance(part, SegmentRecord):
                segment, record = self.snapshot.segments[part.name], part
            else:
                segment, record = self._write_segment(part)
            segments[record.name] = segment
            records.append(record)
        manifest = self._next(records)
        if self._files is not None:
            name = f"tantivy-{manifest.generation:08d}"
            manifest = manifest.model_copy(update={"search": name})
        empty = self._opener.search_part(manifest, create=True)
        candidates = self._with_blocks(empty, manifest.segments, segments)
        self._publish(manifest, segments, candidates)
        self._after_commit(set(), {})
        if self._files is not None:
            self._files.remove_unnamed(manifest)

    def _with_blocks(
        self, candidates: BlockIndex, records: Iterable[SegmentRecord], segments: _Segments
    ) -> BlockIndex:
        """The search part with the live documents of ``records`` added and committed."""
        with candidates.changing() as writer:
            for record in records:
                writer.add(segments[record.name].blocks(without=set(record.deleted)))
        return candidates.renewed()

    def _publish(self, manifest: Manifest, segments: _Segments, candidates: BlockIndex) -> None:
        """The moment of the commit."""
        kept = {r.name: segments[r.name] for r in manifest.segments}
        with self._publishing:
            if self._files is not None:
                try:
                    manifest.write(self._files.path)
                except OSError as e:
                    raise IndexStorageError(
                        f"cannot write {self._files.path / MANIFEST}: {e}; "
                        "the index is as it was before"
                    ) from e
            self._view = View(Snapshot(manifest, kept), candidates)
            self._stamp = self._look()

    def _after_commit(self, dead: set[str], affected: Mapping[str, Iterable[int]]) -> None:
        """Take out of the search part what the commit made superfluous, and seal it.

        What fails here costs space and no truth: the next writer does it again.
        """
        view = self._view
        try:
            if dead or affected:
                with view.candidates.changing() as writer:
                    for name in dead:
                        writer.delete_segment(name)
                    for name, numbers in affected.items():
                        writer.delete(name, numbers)
                with self._publishing:
                    self._view = View(view.snapshot, view.candidates.renewed())
            if self._files is not None:
                self._files.remove_segments(dead)
                view.snapshot.manifest.write_copy(self._files.path)
                self._files.seal_search(view.snapshot.manifest)  # last: says that all is done
        except (OSError, IndexStorageError) as e:
            logger.warning("what was deleted still takes space, until the next write: %s", e)

    def _recover(self) -> None:
        """Put right what a writer left that died; a sealed search part needs nothing."""
        assert self._files is not None
        manifest = self.snapshot.manifest
        self._files.remove_unnamed(manifest)
        if manifest.generation == 0:  # a first commit that never came
            shutil.rmtree(self._files.search(manifest), ignore_errors=True)
            return
        if self._files.is_sealed(manifest):
            return
        known = {record.name: record for record in manifest.segments}
        dead = set(self.candidates.segments()) - set(known)
        affected = {
            name: record.deleted
            for name, record in known.items()
            if record.deleted
            and self.candidates.segment_blocks(name)
            > _live_blocks(self.snapshot.segments[name], record)
        }
        self._after_commit(dead, affected)

    def _write_segment(self, coded: Sequence[EncodedDocument]) -> tuple[Segment, SegmentRecord]:
        number = self.snapshot.manifest.generation + 1
        name = f"{number:08d}-{secrets.token_hex(4)}"  # a leftover of a crash is never reused
        segment = Segment.build(name, coded, self.card.n_latents)
        digest, listing_digest, n_bytes = "0" * 64, None, 0
        if self._files is not None:
            path = self._files.segment(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                digest, listing_digest = segment.write(path)
                write_durably(self._files.listing(name), segment.listing())
                n_bytes = path.stat().st_size
            except OSError as e:
                self._files.remove_segments({name})
                raise IndexStorageError(
                    f"cannot write {path}: {e}; the index is as it was before"
                ) from e
            segment = Segment.open(path, listing_digest)
        return segment, SegmentRecord(
            name=name,
            sha256=digest,
            listing_sha256=listing_digest,
            n_bytes=n_bytes,
            n_tokens=segment.n_tokens,
        )

    def _next(self, records: Iterable[SegmentRecord]) -> Manifest:
        before = self.snapshot.manifest
        update = {
            "schema_version": SCHEMA,
            "fingerprint": self.card.fingerprint,  # it may be that of an older release
            "weights": self.weights,
            "generation": before.generation + 1,
            "segments": tuple(records),
        }
        return before.model_copy(update=update)

    def _look(self) -> tuple[int, int, int] | None:
        """What changes whenever the manifest is replaced; ``None`` where there is none."""
        if self._files is None:
            return None
        try:
            found = (self._files.path / MANIFEST).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _without(record: SegmentRecord, segment: Segment, gone: set[str]) -> SegmentRecord:
    """The record with the documents of ``gone`` marked as deleted."""
    before = set(record.deleted)
    ordinals = {n for i in gone if (n := segment.ordinals.get(i)) is not None} - before
    if not ordinals:
        return record
    return record.model_copy(update={"deleted": tuple(sorted(before | ordinals))})


def _live_tokens(segment: Segment, record: SegmentRecord) -> int:
    gone = set(record.deleted)
    return sum(e.n_tokens for n, e in enumerate(segment.entries) if n not in gone)


def _live_blocks(segment: Segment, record: SegmentRecord) -> int:
    gone = set(record.deleted)
    return sum(e.n_blocks for n, e in enumerate(segment.entries) if n not in gone)
