"""Tantivy as candidate index: which 64-token blocks share words or features with a question.

Derived from the forward store and rebuildable from it. Its scores only propose; what counts is
scored exactly afterwards. Words are scored by BM25 (k1 1.2, b 0.75, fixed in Tantivy).
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

from s3_retriever.errors import IndexStorageError
from s3_retriever.search.analyzers import (
    FEATURES,
    WORDS,
    block_key,
    feature_analyzer,
    search_schema,
    term_table,
    word_analyzer,
)
from s3_retriever.search.base import Block, BlockHit, FeatureWeights
from s3_retriever.text import separate_ideographs

__all__ = ["TantivyIndex", "TantivyWriter"]

logger = logging.getLogger(__name__)

_WRITER_HEAP = 64_000_000


class TantivyIndex:
    """Blocks by words and by features, as of one commit; never changes.

    Example:
        >>> index = TantivyIndex.open(None, n_hookpoints=2, n_latents=64)
        >>> index.words("Red roses"), index.n_blocks()
        (['red', 'rose'], 0)
    """

    def __init__(
        self,
        index: tantivy.Index,
        terms: np.ndarray,
        folder: Path | None,
        shadow: tempfile.TemporaryDirectory[str] | None,
    ) -> None:
        """Use :meth:`open`."""
        self._index = index
        self._terms = terms
        self._folder = folder
        self._shadow = shadow
        self._schema = index.schema
        self._searcher = index.searcher()
        self._analyzer = word_analyzer()

    @classmethod
    def open(
        cls, folder: Path | None, n_hookpoints: int, n_latents: int, *, create: bool = False
    ) -> TantivyIndex:
        """Open the index in ``folder``; ``None`` makes an empty one in memory.

        Raises:
            IndexStorageError: the folder holds nothing that Tantivy can open.
        """
        shadow = None
        try:
            if folder is None:
                index = tantivy.Index(search_schema())
            elif create:
                folder.mkdir(parents=True, exist_ok=True)
                index = tantivy.Index(search_schema(), path=str(folder), reuse=True)
            else:
                if not os.access(folder, os.W_OK):
                    shadow = _shadow_of(folder)
                with _damage_reported(folder):
                    index = tantivy.Index.open(shadow.name if shadow else str(folder))
            # else a thread looks for commits of others, at moments of its own
            index.config_reader(reload_policy="manual")
            # registered on every open: Tantivy stores a tokenizer's name, not the tokenizer
            index.register_tokenizer("words", word_analyzer())
            index.register_tokenizer("whitespace", feature_analyzer())
            index.reload()
        except (ValueError, OSError) as e:
            raise IndexStorageError(
                f"the search part of the index in {folder} cannot be opened ({e}); "
                "rebuild it with: s3-retriever doctor --repair"
            ) from e
        return cls(index, term_table(n_hookpoints, n_latents), folder, shadow)

    def renewed(self) -> TantivyIndex:
        """The index as of Tantivy's last commit; this one stays as it is.

        Raises:
            IndexStorageError: its files cannot be read.
        """
        if self._shadow is not None:  # links to the files of then
            return TantivyIndex.open(self._folder, *self._terms.shape)
        with _damage_reported():
            self._index.reload()
            return TantivyIndex(self._index, self._terms, self._folder, None)

    @contextmanager
    def changing(self) -> Iterator[TantivyWriter]:
        """What changes the index: committed at the end of the block, forgotten if that raises.

        Raises:
            IndexStorageError: the folder cannot be written, or another process writes.
        """
        # nothing but the TantivyWriter may refer to Tantivy's: an exception that is kept keeps
        # this frame, and Tantivy's lock is held as long as its writer lives
        writer = TantivyWriter(self._new_writer(), self._terms)
        try:
            yield writer
            writer.commit()
        finally:
            writer.close()

    def _new_writer(self) -> tantivy.IndexWriter:
        try:
            writer = self._index.writer(_WRITER_HEAP, num_threads=1)
            # a commit that failed may have left files whose names the next one needs
            writer.garbage_collect_files()
        except ValueError as e:
            raise IndexStorageError(f"the search part of the index is not writable: {e}") from e
        return writer

    def segments(self) -> list[str]:
        """Names of the segments that have blocks in the index."""
        with _damage_reported():
            # terms outlive the blocks that were deleted, until Tantivy merges them away
            names = [name for name, _ in self._searcher.terms_with_prefix("segment", "")]
        return [name for name in names if self.segment_blocks(name)]

    def n_blocks(self) -> int:
        """Blocks in the index."""
        return int(self._searcher.num_docs)

    def n_dead_blocks(self) -> int:
        """Deleted blocks that still take space."""
        with _damage_reported():
            frequencies = self._searcher.terms_with_prefix("segment", "")
        return sum(n for _, n in frequencies) - self.n_blocks()  # terms count the deleted too

    def segment_blocks(self, segment: str) -> int:
        """Blocks of one segment in the index."""
        query = tantivy.Query.term_query(self._schema, "segment", segment)
        with _damage_reported():
            found: Any = self._searcher.search(query, limit=1, count=True)
            return int(found.count)

    def words(self, text: str) -> list[str]:
        """The words of ``text`` as they are indexed: lower-case stems."""
        found: list[str] = self._analyzer.analyze(separate_ideographs(text))
        return found

    def document_frequency(self, word: str) -> int:
        """Blocks that hold ``word`` (deleted ones count until Tantivy merges them away)."""
        return int(self._searcher.doc_freq(WORDS, word))

    def search_words(
        self, words: Iterable[str], k: int, documents: Mapping[str, Sequence[int]] | None = None
    ) -> list[BlockHit]:
        """The ``k`` best blocks by BM25.

        Args:
            words: as :meth:`words` gives them; a repeated one counts once.
            k: most blocks.
            documents: only these documents (numbers by segment name); ``None`` allows all.
        """
        terms = [
            tantivy.Query.term_query(self._schema, WORDS, word, index_option="freq")
            for word in dict.fromkeys(words)
        ]
        return self._search(terms, k, documents)

    def search_features(
        self,
        weights: FeatureWeights,
        k: int,
        documents: Mapping[str, Sequence[int]] | None = None,
    ) -> list[BlockHit]:
        """The ``k`` best blocks by the given latents.

        Args:
            weights: for each hookpoint, latent ids and their positive weights.
            k: most blocks.
            documents: as in :meth:`search_words`.
        """
        terms = [
            tantivy.Query.boost_query(
                tantivy.Query.term_query(
                    self._schema,
                    FEATURES,
                    self._terms[hookpoint, latent].decode().strip(),
                    index_option="freq",
                ),
                weight,
            )
            for hookpoint, by_latent in enumerate(weights)
            for latent, weight in by_latent.items()
        ]
        return self._search(terms, k, documents)

    def _search(
        self,
        terms: Sequence[tantivy.Query],
        k: int,
        documents: Mapping[str, Sequence[int]] | None,
    ) -> list[BlockHit]:
        if not terms or k < 1:
            return []
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, t) for t in terms])
        if documents is not None:
            keys = [block_key(name, n) for name, numbers in documents.items() for n in numbers]
            allowed = tantivy.Query.term_set_query(self._schema, "document", keys)
            # a filter must not change scores: constant 0
            allowed = tantivy.Query.const_score_query(allowed, 0.0)
            must = tantivy.Occur.Must
            query = tantivy.Query.boolean_query([(must, query), (must, allowed)])
        searcher = self._searcher
        hits = []
        with _damage_reported():
            for score, address in searcher.search(query, limit=k, count=False).hits:
                segment, _, number = searcher.doc(address)["block"][0].partition("/")
                hits.append(BlockHit(segment, int(number), float(score)))
        return hits


class TantivyWriter:
    """Changes to a candidate index; they become visible and durable together, by a commit."""

    def __init__(self, writer: tantivy.IndexWriter, terms: np.ndarray) -> None:
        """Use :meth:`TantivyIndex.changing`."""
        self._writer: tantivy.IndexWriter | None = writer
        self._terms = terms

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
                document.add_text(WORDS, separate_ideographs(block.text))
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
        writer, self._writer = self._open(), None
        try:
            writer.wait_merging_threads()  # consumes the writer and frees its lock
        except ValueError as e:  # no room to merge: nothing is lost by that
            logger.warning("the search part could not be tidied up: %s", e)

    def close(self) -> None:
        """Forget what was not committed, and end."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                writer.rollback()
            except ValueError as e:  # it died of what it is closed for, a full disk say
                logger.debug("the search part's writer did not end well: %s", e)

    @contextmanager
    def _failures_reported(self) -> Iterator[None]:
        try:
            yield
        except BaseException as e:
            if isinstance(e, (ValueError, OSError)) or type(e).__name__ == "PanicException":
                raise IndexStorageError(
                    f"the search part of the index cannot be written: {e}; "
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


@contextmanager
def _damage_reported(folder: Path | None = None) -> Iterator[None]:
    """Turn what Tantivy raises on damaged files into an error that says what to do."""
    try:
        yield
    except BaseException as e:
        # a panic in Tantivy is no Exception, and its class cannot be imported
        if isinstance(e, (ValueError, OSError)) or type(e).__name__ == "PanicException":
            where = f" in {folder}" if folder else ""
            raise IndexStorageError(
                f"the search part of the index{where} is damaged ({e}); "
                "rebuild it with: s3-retriever doctor --repair"
            ) from e
        raise


def _shadow_of(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder of links to the files: Tantivy makes a lock even to read, and here it cannot."""
    shadow = tempfile.TemporaryDirectory(prefix="s3-retriever-")
    for path in folder.iterdir():
        if not path.name.endswith(".lock"):
            try:
                (Path(shadow.name) / path.name).symlink_to(path.resolve())
            except OSError:  # a system without links for everybody
                shutil.copyfile(path, Path(shadow.name) / path.name)
    return shadow
