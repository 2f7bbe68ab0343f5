"""The index: forward store, candidates and manifest, as one thing that changes by commits.

The forward store is the truth; Tantivy is derived from it. A commit writes the segment, adds its
blocks to Tantivy, writes the manifest by rename, and only then takes what is gone out of Tantivy:
at every moment Tantivy holds at least the blocks that the manifest on disk needs, and what it holds
beyond them is ignored. The next writer puts right what a dead one left.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from s3_retriever.errors import IndexStorageError
from s3_retriever.forking import ForkLock
from s3_retriever.paths import bound
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, why
from s3_retriever.search.base import BlockIndex
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.storage.files import write_durably
from s3_retriever.storage.folder import IndexFolder, make_index_folder
from s3_retriever.storage.leftovers import Superfluous, left_in, left_over, without
from s3_retriever.storage.lock import writer_lock
from s3_retriever.storage.manifest import MANIFEST, SCHEMA, Manifest, SegmentRecord
from s3_retriever.storage.merging import parts_of_commit
from s3_retriever.storage.opening import BlockIndexFactory, Opener
from s3_retriever.storage.places import check_place
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
            folder: is created if need be; bound now, whatever the working directory becomes.
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
        self.folder = folder = bound(folder) if folder is not None else None
        if folder is not None:
            check_place(folder)
        self.card = card
        self._weights = weights
        self._files = IndexFolder(folder) if folder is not None else None
        self._opener = Opener(self._files, card, weights, engine)
        self._publishing = ForkLock()
        self._broken_off = False
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
            IndexStorageError: the folder is not writable, or what was in it is gone.
        """
        if self._files is None:
            yield
            return
        self._check_folder(self._files)
        with writer_lock(self._files.path, wait):
            if self._look() is None:  # it may have been deleted while this waited
                self._check_folder(self._files)
            self._put_right()
            try:
                yield
            except BaseException:
                self.refresh()  # to what is on disk, whatever of it was still done
                self._files.remove_unnamed(self.snapshot.manifest)  # on a full disk, room at once
                raise

    def _check_folder(self, files: IndexFolder) -> None:
        """Make sure that this index is still there, before anything is written."""
        files.check()
        if self._look() is not None:
            return
        if self.snapshot.manifest.generation:
            raise IndexStorageError(
                f"index {brief(files.path)} is gone: its {MANIFEST} was removed while it was open; "
                "open it anew"
            )
        make_index_folder(files.path)

    def commit(self, coded: Sequence[EncodedDocument], delete: Iterable[str] = ()) -> None:
        """Add documents and delete others (by id) in one step; call inside :meth:`writing`.

        A document whose id is there already replaces it.

        Raises:
            IndexStorageError: the disk is full, say; the index is as it was before.
        """
        with self._step():
            self._commit(coded, delete)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """A commit; if it is broken off, the next one begins with what is on disk."""
        if self._broken_off:
            self._put_right()
        self._broken_off = True
        yield
        self._broken_off = False

    def _commit(self, coded: Sequence[EncodedDocument], delete: Iterable[str]) -> None:
        snapshot = self.snapshot
        before = {record.name: record for record in snapshot.manifest.segments}
        gone = {i for i in [*delete, *(c.document.id for c in coded)] if i in snapshot.live}
        segments = dict(snapshot.segments)
        marked = [without(r, segments[r.name], gone) for r in before.values()]
        kept = [r for r in marked if len(r.deleted) < len(segments[r.name].entries)]
        records = []
        for part in parts_of_commit(kept, snapshot.segments, coded):
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
        self._after_commit(left_over(before, records))

    def replace(self, parts: Iterable[SegmentRecord | Sequence[EncodedDocument]]) -> None:
        """Make the index consist of ``parts``, in that order; call inside :meth:`writing`.

        The search part is built anew, in a folder of its own, so that questions go on meanwhile.

        Args:
            parts: segments that stay as they are, and documents of new ones.

        Raises:
            IndexStorageError: the disk is full, say; the index is as it was before.
        """
        with self._step():
            self._replace(parts)

    def _replace(self, parts: Iterable[SegmentRecord | Sequence[EncodedDocument]]) -> None:
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
        self._after_commit({})

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
                before = {record.name for record in self.snapshot.manifest.segments}
                try:
                    self._files.journal.note(before - set(kept))
                    manifest.write(self._files.path)
                except OSError as e:
                    raise IndexStorageError(
                        f"cannot write {brief(self._files.path / MANIFEST)}: {why(e)}; "
                        "the index is as it was before"
                    ) from e
            self._view = View(Snapshot(manifest, kept), candidates)
            self._stamp = self._look()

    def _after_commit(self, superfluous: Superfluous) -> None:
        """Take out of the search part what the commit made superfluous, and seal it.

        What fails here costs space and no truth: the next writer does it again.
        """
        view = self._view
        try:
            if superfluous:
                with view.candidates.changing() as writer:
                    for name, numbers in superfluous.items():
                        if numbers is None:
                            writer.delete_segment(name)
                        else:
                            writer.delete(name, numbers)
                with self._publishing:
                    self._view = View(view.snapshot, view.candidates.renewed())
            if self._files is not None:
                view.snapshot.manifest.write_copy(self._files.path)
                # this last: it says that all is done
                self._files.search_record.write(view.snapshot.manifest)
                self._files.remove_unnamed(view.snapshot.manifest)
        except (OSError, IndexStorageError) as e:
            logger.warning("what was deleted still takes space, until the next write: %s", e)

    def _put_right(self) -> None:
        """Go on from what is on disk: another process may have written, and a writer have died.

        That writer may be this process, so no view that is open says what the search part holds.
        """
        self.refresh()
        snapshot, files = self.snapshot, self._files
        if files is not None:
            files.check_age(snapshot.manifest)
            files.remove_unnamed(snapshot.manifest)
        if snapshot.manifest.generation == 0:  # a first commit that never came
            if files is not None:
                files.remove_search(files.search(snapshot.manifest))
            self._broken_off = False
            return
        if files is not None:
            files.search_record.check(snapshot.manifest)
        if files is None or not self._is_complete(files):
            candidates = self._opener.newest(self._view)
            with self._publishing:
                self._view = View(snapshot, candidates)
            self._after_commit(left_in(candidates, snapshot))
        self._broken_off = False

    def _is_complete(self, files: IndexFolder) -> bool:
        """Whether the last commit was done to its end, and the search part holds it and no more."""
        return (
            not self._broken_off
            and files.search_record.is_complete(self.snapshot.manifest)
            and self.candidates.n_blocks() == self.snapshot.n_blocks
        )

    def _write_segment(self, coded: Sequence[EncodedDocument]) -> tuple[Segment, SegmentRecord]:
        number = self.snapshot.manifest.generation + 1
        name = f"{number:08d}-{secrets.token_hex(4)}"  # a leftover of a crash is never reused
        segment = Segment.build(name, coded, self.card.n_latents)
        digest, listing_digest, n_bytes = "0" * 64, None, 0
        if self._files is not None:
            path = self._files.segment(name)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._files.journal.note([name])
                digest, listing_digest = segment.write(path)
                write_durably(self._files.listing(name), segment.listing())
                n_bytes = path.stat().st_size
            except OSError as e:
                self._files.remove_segments({name})
                raise IndexStorageError(
                    f"cannot write {brief(path)}: {why(e)}; the index is as it was before"
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
