"""Opening what is on disk: the segments and the search part of an index's last commit."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from s3_retriever.errors import IndexStorageError
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief, quoted
from s3_retriever.search.base import BlockIndex
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.storage.folder import IndexFolder
from s3_retriever.storage.manifest import MANIFEST, SCHEMA, Manifest, SegmentRecord
from s3_retriever.storage.segments import Segment
from s3_retriever.storage.snapshot import Snapshot
from s3_retriever.storage.view import View

__all__ = ["BlockIndexFactory", "Opener"]


class BlockIndexFactory(Protocol):
    """Opens the search part of an index; :meth:`TantivyIndex.open` is the first."""

    def __call__(
        self, folder: Path | None, n_hookpoints: int, n_latents: int, *, create: bool = False
    ) -> BlockIndex:
        """Open the search part in ``folder``; ``None`` makes an empty one in memory.

        Raises:
            IndexStorageError: the folder holds nothing that can be opened.
        """


class Opener:
    """Opens the states of one index."""

    def __init__(
        self,
        files: IndexFolder | None,
        card: ProfileCard,
        weights: str | None,
        engine: BlockIndexFactory = TantivyIndex.open,
    ) -> None:
        """Nothing is read yet.

        Args:
            files: of the index; ``None`` is in memory.
            card: of its profile.
            weights: digest of the model's weights that the index has to have been written with.
            engine: opens the search part.
        """
        self._files = files
        self._card = card
        self._weights = weights
        self._engine = engine

    def load(self, before: View | None) -> View:
        """The state on disk; what ``before`` has open is used again.

        Raises:
            IndexStorageError: something is missing or damaged.
            IndexMismatchError: it was written with another profile or other weights.
        """
        while True:
            if self._files is not None:
                self._files.check()
            manifest = self._manifest()
            if manifest is None or self._files is None:
                return View(Snapshot(self._empty_manifest(), {}), self.search_part(None))
            manifest.check(self._card, self._weights, f"index {self._files.path}")
            try:
                view = self._open(self._files, manifest, before)
            except IndexStorageError:
                # a writer may have replaced files since the manifest was read: look again
                if self._manifest() == manifest:
                    raise
            else:
                if self._manifest() == manifest:
                    return view
                before = view

    def search_part(self, manifest: Manifest | None, *, create: bool = False) -> BlockIndex:
        """The search part that a manifest names; in memory without a folder or manifest."""
        card = self._card
        folder = self._files.search(manifest) if self._files and manifest else None
        return self._engine(folder, len(card.hookpoints), card.n_latents, create=create)

    def newest(self, view: View) -> BlockIndex:
        """The search part as it is now, whatever of it ``view`` has open.

        Raises:
            IndexStorageError: it cannot be opened, or blocks are missing.
        """
        if self._files is None:
            return view.candidates.renewed()
        return _complete(self._files, view.snapshot, self.search_part(view.snapshot.manifest))

    def _manifest(self) -> Manifest | None:
        return Manifest.read(self._files.path) if self._files is not None else None

    def _open(self, files: IndexFolder, manifest: Manifest, before: View | None) -> View:
        opened = before.snapshot.segments if before else {}
        segments = {
            r.name: opened.get(r.name) or self._segment(files, r) for r in manifest.segments
        }
        for record in manifest.segments:
            if record.deleted and record.deleted[-1] >= len(segments[record.name].entries):
                raise IndexStorageError(
                    f"{brief(files.path)}/{MANIFEST} is damaged: it deletes documents of segment "
                    f"{brief(record.name)} that do not exist"
                )
        known = before.snapshot.manifest if before else None
        if before and known and known.generation > 0 and known.search == manifest.search:
            candidates = before.candidates.renewed()
        else:
            candidates = self.search_part(manifest)
        snapshot = Snapshot(manifest, segments)
        return View(snapshot, _complete(files, snapshot, candidates))

    def _segment(self, files: IndexFolder, record: SegmentRecord) -> Segment:
        path = files.segment(record.name)
        if path.exists() and path.stat().st_size != record.n_bytes:
            raise IndexStorageError(
                f"segment {brief(path)} has {path.stat().st_size} bytes instead of "
                f"{record.n_bytes}; run: s3-retriever doctor"
            )
        segment = Segment.open(path, record.listing_sha256)
        if not segment.suits(self._card):
            raise IndexStorageError(
                f"segment {brief(path)} has codes of another shape than profile "
                f"{quoted(self._card.name)}; run: s3-retriever doctor"
            )
        return segment

    def _empty_manifest(self) -> Manifest:
        card = self._card
        return Manifest(
            schema_version=SCHEMA,
            fingerprint=card.fingerprint,
            profile=card.name,
            model=card.model,
            tokenizer=card.tokenizer_sha256,
            weights=self._weights,
            generation=0,
        )


def _complete(files: IndexFolder, snapshot: Snapshot, candidates: BlockIndex) -> BlockIndex:
    """The search part, if it has all blocks that a snapshot needs."""
    if candidates.n_blocks() < snapshot.n_blocks:
        raise IndexStorageError(
            f"the search part of the index in {brief(files.path)} has {candidates.n_blocks()} of "
            f"{snapshot.n_blocks} blocks; rebuild it with: s3-retriever doctor --repair"
        )
    return candidates
