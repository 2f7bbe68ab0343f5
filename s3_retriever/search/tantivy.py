"""Tantivy as candidate index: which 64-token blocks share words or features with a question.

Derived from the forward store and rebuildable from it. Its scores only propose; what counts is
scored exactly afterwards. Words are scored by BM25 (k1 1.2, b 0.75, fixed in Tantivy).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tantivy

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import why
from s3_retriever.search.analyzers import (
    FEATURES,
    WORDS,
    block_key,
    content_stems,
    language_term,
    languages_of,
    search_schema,
    stems,
    term_analyzer,
    term_table,
)
from s3_retriever.search.base import BlockHit, FeatureWeights
from s3_retriever.search.tantivy_writer import TantivyWriter

__all__ = ["TantivyIndex"]

_WRITERS: weakref.WeakValueDictionary[str, TantivyWriter] = weakref.WeakValueDictionary()
"""By folder: one that an interrupt left in a traceback, say, holds Tantivy's lock until it ends."""


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
        shadowed: bool = False,
    ) -> None:
        """Use :meth:`open`."""
        self._index = index
        self._terms = terms
        self._folder = folder
        self._shadowed = shadowed
        self._schema = index.schema
        self._searcher = index.searcher()

    @classmethod
    def open(
        cls, folder: Path | None, n_hookpoints: int, n_latents: int, *, create: bool = False
    ) -> TantivyIndex:
        """Open the index in ``folder``; ``None`` makes an empty one in memory.

        Raises:
            IndexStorageError: the folder holds nothing that Tantivy can open.
        """
        size = (n_hookpoints, n_latents)
        shadowed = folder is not None and not create and not os.access(folder, os.W_OK)
        with contextlib.ExitStack() as stack, _damage_reported(folder):
            if folder is None:
                index = tantivy.Index(search_schema())
            elif create:
                folder.mkdir(parents=True, exist_ok=True)
                index = tantivy.Index(search_schema(), path=str(folder), reuse=True)
            else:
                where = stack.enter_context(_shadow_of(folder)) if shadowed else folder
                index = tantivy.Index.open(str(where))
            return cls._of(index, folder, shadowed, size)

    @classmethod
    def _of(
        cls, index: tantivy.Index, folder: Path | None, shadowed: bool, size: tuple[int, int]
    ) -> TantivyIndex:
        # else a thread looks for commits of others, at moments of its own
        index.config_reader(reload_policy="manual")
        # registered on every open: Tantivy stores a tokenizer's name, not the tokenizer
        index.register_tokenizer("words", term_analyzer())
        index.register_tokenizer("whitespace", term_analyzer())
        index.reload()
        return cls(index, term_table(*size), folder, shadowed)

    def renewed(self) -> TantivyIndex:
        """The index as of Tantivy's last commit; this one stays as it is.

        Raises:
            IndexStorageError: its files cannot be read.
        """
        if self._shadowed:  # the files of then
            n_hookpoints, n_latents = self._terms.shape
            return TantivyIndex.open(self._folder, n_hookpoints, n_latents)
        with _damage_reported():
            self._index.reload()
            return TantivyIndex(self._index, self._terms, self._folder)

    @contextmanager
    def changing(self) -> Iterator[TantivyWriter]:
        """What changes the index: committed at the end of the block, forgotten if that raises.

        Raises:
            IndexStorageError: the folder cannot be written, or another process writes.
        """
        where = str(self._folder or id(self._index))
        if (left := _WRITERS.get(where)) is not None:  # whoever is here has the index's own lock
            left.close()
        writer = _WRITERS[where] = TantivyWriter(self._terms, self._folder)
        try:
            writer.begin(self._index)
            yield writer
            writer.commit()
        finally:
            writer.close()

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
        with _damage_reported():
            query = tantivy.Query.term_query(self._schema, "segment", segment)
            found: Any = self._searcher.search(query, limit=1, count=True)
            return int(found.count)

    def words(self, text: str, language: str | None = None) -> list[str]:
        """The words of ``text`` as they are indexed: folded stems.

        Args:
            text: of a document or a question.
            language: of the document; ``None`` for a question, whose words are given as documents
                of every language in the index hold them.
        """
        if language is None and len(self._languages) > 1:
            return content_stems(text, self._languages)
        # an index that former releases wrote has English stems whatever its documents' language
        return stems(text, language if language and language in self._languages else "en")

    @cached_property
    def _languages(self) -> list[str]:
        """Of the documents; English counts as one of them."""
        with _damage_reported():
            return languages_of(
                term for term, _ in self._searcher.terms_with_prefix(WORDS, language_term(""))
            )

    def document_frequency(self, word: str) -> int:
        """Blocks that hold ``word`` (deleted ones count until Tantivy merges them away)."""
        with _damage_reported():
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
        with _damage_reported():
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
        with _damage_reported():
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
        for score, address in searcher.search(query, limit=k, count=False).hits:
            segment, _, number = searcher.doc(address)["block"][0].partition("/")
            hits.append(BlockHit(segment, int(number), float(score)))
        return hits


@contextmanager
def _damage_reported(folder: Path | None = None) -> Iterator[None]:
    """Turn what Tantivy raises on damaged files into an error that says what to do.

    What the system refuses (too many files are open, say) is no damage, and is not called so.
    """
    try:
        yield
    except BaseException as e:
        # a panic in Tantivy is no Exception, and its class cannot be imported
        if isinstance(e, _RAISED) or type(e).__name__ == "PanicException":
            where = f" in {folder}" if folder else ""
            number = e.errno if isinstance(e, OSError) else None
            if number is None and (refused := _REFUSED.search(str(e))):
                number = int(refused[1] or refused[2])
            if number not in (None, errno.ENOENT):
                message = f"the search part of the index{where} cannot be read: {why(e)}"
            else:
                message = (
                    f"the search part of the index{where} is damaged ({why(e)}); "
                    "rebuild it with: s3-retriever doctor --repair"
                )
            raise IndexStorageError(message) from e
        raise


_RAISED = (ValueError, OSError, LookupError)
"""By Tantivy, or where a field that is asked for is there no more."""
_REFUSED = re.compile(r"os error ([0-9]+)|Os \{ code: ([0-9]+)")
"""How an error of the system reads in Rust."""


@contextmanager
def _shadow_of(folder: Path) -> Iterator[Path]:
    """A folder of links to the files: Tantivy makes a lock even to read, and here it cannot.

    It is not needed any more once they are open.
    """
    with tempfile.TemporaryDirectory(prefix="s3-retriever-") as name:
        for path in folder.iterdir():
            if not path.name.endswith(".lock"):
                try:
                    (Path(name) / path.name).symlink_to(path.resolve())
                except OSError:  # a system without links for everybody
                    shutil.copyfile(path, Path(name) / path.name)
        yield Path(name)
