"""Tantivy's writer: takes its lock, changes the candidate index, and lets nothing of it linger."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tantivy

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import brief, why
from s3_retriever.search.analyzers import FEATURES, WORDS, block_key, language_term, stems
from s3_retriever.search.base import Block

__all__ = ["TantivyWriter"]

logger = logging.getLogger(__name__)

_WRITER_HEAP = 64_000_000
_MANAGED = ".managed.json"
"""Which files Tantivy may delete: by their names, wherever these lead."""
_STATE = "meta.json"


class TantivyWriter:
    """Changes to a candidate index; they become visible and durable together, by a commit."""

    def __init__(self, terms: np.ndarray, folder: Path | None) -> None:
        """Use :meth:`TantivyIndex.changing`."""
        # nothing else may refer to Tantivy's, no local variable either: an exception that is kept
        # keeps its frames, and Tantivy's lock is held as long as its writer lives
        self._writer: tantivy.IndexWriter | None = None
        self._terms = terms
        self._folder = folder

    def begin(self, index: tantivy.Index) -> None:
        """Take Tantivy's lock.

        Raises:
            IndexStorageError: the folder cannot be written, or another process writes.
        """
        _check_managed(self._folder)
        try:
            self._writer = index.writer(_WRITER_HEAP, num_threads=1)
            # a commit that failed may have left files whose names the next one needs
            self._writer.garbage_collect_files()
        except ValueError as e:
            raise IndexStorageError(
                f"the search part of the index is not writable: {why(e)}"
            ) from e

    def add(self, blocks: Iterable[Block]) -> None:
        """Index blocks.

        Raises:
            IndexStorageError: the disk is full, or a text is damaged.
        """
        with self._failures_reported():
            for block in blocks:
                document = tantivy.Document()
                document.add_text("segment", block.segment)
                document.add_text("document", block_key(block.segment, block.document))
                document.add_text("block", block_key(block.segment, block.number))
                words = stems(block.text, block.language)
                if block.language != "en":
                    words.append(language_term(block.language))
                document.add_text(WORDS, " ".join(words))
                document.add_text(FEATURES, self._feature_text(block.ids))
                self._open().add_document(document)

    def delete(self, segment: str, ordinals: Iterable[int]) -> None:
        """Remove documents of a segment."""
        with self._failures_reported():
            for ordinal in ordinals:
                self._open().delete_documents_by_term("document", block_key(segment, ordinal))

    def delete_segment(self, segment: str) -> None:
        """Remove every block of a segment."""
        with self._failures_reported():
            self._open().delete_documents_by_term("segment", segment)

    def commit(self) -> None:
        """Make the changes durable, and end; the writer is not usable any more.

        Raises:
            IndexStorageError: nothing was changed.
        """
        with self._failures_reported():
            self._open().commit()
        try:
            self._open().wait_merging_threads()  # consumes the writer and frees its lock
        except ValueError as e:  # no room to merge: nothing is lost by that
            logger.warning("the search part could not be tidied up: %s", why(e))
        self._writer = None
        if self._folder is not None:
            _share(self._folder)

    def close(self) -> None:
        """Forget what was not committed, and end."""
        if self._writer is not None:
            try:
                self._writer.rollback()
            # it died of what it is closed for, a full disk say, or had ended by itself when an
            # interrupt came
            except (ValueError, RuntimeError) as e:
                logger.debug("the search part's writer did not end well: %s", why(e))
            finally:
                self._writer = None

    @contextmanager
    def _failures_reported(self) -> Iterator[None]:
        try:
            yield
        except BaseException as e:
            if isinstance(e, (ValueError, OSError)) or type(e).__name__ == "PanicException":
                raise IndexStorageError(
                    f"the search part of the index cannot be written: {why(e)}; "
                    "the index is as it was before"
                ) from e
            raise

    def _open(self) -> tantivy.IndexWriter:
        assert self._writer is not None, "the writer has ended"
        return self._writer

    def _feature_text(self, ids: np.ndarray) -> str:
        """All latents of a block ``(n, n_hookpoints, k)`` as space-separated terms."""
        hookpoints = np.arange(ids.shape[1])[None, :, None]
        terms: bytes = self._terms[hookpoints, ids].tobytes()
        return terms.decode("ascii")


def _check_managed(folder: Path | None) -> None:
    """Make sure that Tantivy deletes nothing outside its folder.

    Raises:
        IndexStorageError: its list of files names others.
    """
    if folder is None:
        return
    try:
        names = json.loads((folder / _MANAGED).read_bytes())
    except FileNotFoundError:
        return
    except OSError as e:
        raise IndexStorageError(f"{brief(folder / _MANAGED)} cannot be read: {why(e)}") from e
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(
        isinstance(name, str) and re.fullmatch(r"[0-9a-f]{32}(\.[0-9a-z]+)+|meta\.json", name)
        for name in names
    ):
        raise IndexStorageError(
            f"{brief(folder / _MANAGED)} is damaged; rebuild the search part with: "
            "s3-retriever doctor --repair"
        )


def _share(folder: Path) -> None:
    """Let whoever may read the folder read the files that Tantivy makes for its owner alone."""
    for name in (_STATE, _MANAGED):
        with contextlib.suppress(OSError):  # a file system without modes, say
            (folder / name).chmod(folder.stat().st_mode & 0o666)
