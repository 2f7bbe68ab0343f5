"""Tantivy as candidate index: which 64-token blocks share words or features with a question.

Derived from the forward store and rebuildable from it. Its scores only propose; what counts is
scored exactly afterwards. Words are scored by BM25 (k1 1.2, b 0.75, fixed in Tantivy).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tantivy

from s3_retriever.errors import IndexStorageError
from s3_retriever.index.segment import BLOCK_TOKENS, Entry, Segment
from s3_retriever.text import separate_ideographs, whole_words

__all__ = ["Block", "CandidateIndex", "Hit"]

logger = logging.getLogger(__name__)

_WORDS = "words"
_FEATURES = "features"
_WRITER_HEAP = 64_000_000
_MAX_WORD = 64
"""Bytes; longer runs without a space are data, not words."""


class Block(NamedTuple):
    """A block of a segment, by the segment's name and the block's number in it."""

    segment: str
    number: int


class Hit(NamedTuple):
    """A block and the score of the leg that found it."""

    block: Block
    score: float


class CandidateIndex:
    """Blocks by words and by features; one writer at a time, readers take no lock."""

    def __init__(self, folder: Path | None, n_hookpoints: int, n_latents: int) -> None:
        """Open or create the index in ``folder``; ``None`` keeps it in memory.

        Raises:
            IndexStorageError: the folder holds something Tantivy cannot open.
        """
        self._terms = _term_table(n_hookpoints, n_latents)
        self._schema = _schema()
        try:
            if folder is None:
                self._index = tantivy.Index(self._schema)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                self._index = tantivy.Index(self._schema, path=str(folder), reuse=True)
        except (ValueError, OSError) as e:
            raise IndexStorageError(
                f"the search part of the index in {folder} cannot be opened ({e}); "
                "rebuild it with: s3-retriever doctor --repair"
            ) from e
        # registered on every open: Tantivy stores a tokenizer's name, not the tokenizer
        self._analyzer = _word_analyzer()
        self._index.register_tokenizer("words", self._analyzer)
        self._index.register_tokenizer("whitespace", _feature_analyzer())
        self._writer: tantivy.IndexWriter | None = None

    def add(self, segment: Segment) -> None:
        """Index every block of a segment (visible after :meth:`commit`)."""
        writer = self._open_writer()
        for ordinal, entry in enumerate(segment.entries):
            text = segment.text(entry)
            for block in range(entry.n_blocks):
                first = entry.tokens[0] + block * BLOCK_TOKENS
                last = min(first + BLOCK_TOKENS, entry.tokens[1])
                document = tantivy.Document()
                document.add_text("segment", segment.name)
                document.add_text("document", _key(segment.name, ordinal))
                document.add_text("block", _key(segment.name, entry.first_block + block))
                start, end = int(segment.starts[first]), int(segment.ends[last - 1])
                document.add_text(_WORDS, _block_words(text, start, end))
                document.add_text(_FEATURES, self._feature_text(segment.ids[first:last]))
                writer.add_document(document)

    def delete(self, segment: str, ordinals: Iterable[int]) -> None:
        """Remove documents of a segment (visible after :meth:`commit`)."""
        writer = self._open_writer()
        for ordinal in ordinals:
            writer.delete_documents_by_term("document", _key(segment, ordinal))

    def delete_segment(self, segment: str) -> None:
        """Remove every block of a segment (visible after :meth:`commit`)."""
        self._open_writer().delete_documents_by_term("segment", segment)

    def clear(self) -> None:
        """Remove everything (visible after :meth:`commit`)."""
        self._open_writer().delete_all_documents()

    def commit(self) -> None:
        """Make changes durable and visible."""
        if self._writer is not None:
            self._writer.commit()
            self._writer.wait_merging_threads()  # consumes the writer and frees its lock
            self._writer = None
        self.refresh()

    def rollback(self) -> None:
        """Forget changes since the last commit."""
        if self._writer is not None:
            self._writer.rollback()
            self._writer = None

    def refresh(self) -> None:
        """See what another process has committed."""
        self._index.reload()

    def n_blocks(self) -> int:
        """Blocks in the index."""
        return int(self._index.searcher().num_docs)

    def segment_blocks(self, segment: str) -> int:
        """Blocks of one segment in the index."""
        query = tantivy.Query.term_query(self._schema, "segment", segment)
        with _damage_reported():
            found: Any = self._index.searcher().search(query, limit=1, count=True)
            return int(found.count)

    def words(self, text: str) -> list[str]:
        """The words of ``text`` as they are indexed: lower-case stems."""
        found: list[str] = self._analyzer.analyze(separate_ideographs(text))
        return found

    def block_frequency(self, word: str) -> int:
        """Blocks that hold ``word`` (deleted ones count until Tantivy merges them away)."""
        return int(self._index.searcher().doc_freq(_WORDS, word))

    def search_words(
        self, words: Iterable[str], k: int, documents: Mapping[str, Sequence[int]] | None = None
    ) -> list[Hit]:
        """The ``k`` best blocks by BM25.

        Args:
            words: as :meth:`words` gives them; a repeated one counts once.
            k: most blocks.
            documents: only these documents (numbers by segment name); ``None`` allows all.
        """
        terms = [
            tantivy.Query.term_query(self._schema, _WORDS, word, index_option="freq")
            for word in dict.fromkeys(words)
        ]
        return self._search(terms, k, documents)

    def search_features(
        self,
        weights: Sequence[Mapping[int, float]],
        k: int,
        documents: Mapping[str, Sequence[int]] | None = None,
    ) -> list[Hit]:
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
                    _FEATURES,
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
    ) -> list[Hit]:
        if not terms or k < 1:
            return []
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, t) for t in terms])
        if documents is not None:
            keys = [_key(name, n) for name, numbers in documents.items() for n in numbers]
            allowed = tantivy.Query.term_set_query(self._schema, "document", keys)
            # a filter must not change scores: constant 0
            allowed = tantivy.Query.const_score_query(allowed, 0.0)
            must = tantivy.Occur.Must
            query = tantivy.Query.boolean_query([(must, query), (must, allowed)])
        searcher = self._index.searcher()
        hits = []
        with _damage_reported():
            for score, address in searcher.search(query, limit=k, count=False).hits:
                segment, _, number = searcher.doc(address)["block"][0].partition("/")
                hits.append(Hit(Block(segment, int(number)), float(score)))
        return hits

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            try:
                self._writer = self._index.writer(_WRITER_HEAP, num_threads=1)
            except ValueError as e:
                raise IndexStorageError(f"the search part of the index is not writable: {e}") from e
        return self._writer

    def _feature_text(self, ids: np.ndarray) -> str:
        """All latents of a block ``(n, n_hookpoints, k)`` as space-separated terms."""
        hookpoints = np.arange(ids.shape[1])[None, :, None]
        terms: bytes = self._terms[hookpoints, ids].tobytes()
        return terms.decode("ascii")


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Turn what Tantivy raises on damaged files into an error that says what to do."""
    try:
        yield
    except BaseException as e:
        # a panic in Tantivy is no Exception, and its class cannot be imported
        if isinstance(e, (ValueError, OSError)) or type(e).__name__ == "PanicException":
            raise IndexStorageError(
                f"the search part of the index is damaged ({e}); "
                "rebuild it with: s3-retriever doctor --repair"
            ) from e
        raise


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in ("segment", "document"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("block", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(_WORDS, tokenizer_name="words", index_option="freq")
    builder.add_text_field(_FEATURES, tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _word_analyzer() -> tantivy.TextAnalyzer:
    """Lower-case, accents folded, English stems: what users of a word index expect."""
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(tantivy.Filter.remove_long(_MAX_WORD))
        .filter(tantivy.Filter.lowercase())
        .filter(tantivy.Filter.ascii_fold())
        .filter(tantivy.Filter.stemmer("english"))
        .build()
    )


def _feature_analyzer() -> tantivy.TextAnalyzer:
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


def _term_table(n_hookpoints: int, n_latents: int) -> np.ndarray:
    """``(n_hookpoints, n_latents)`` fixed-width terms: a table makes a block's text in one step."""
    terms = [f"{h:x}.{f:06x} " for h in range(n_hookpoints) for f in range(n_latents)]
    width = max(map(len, terms))
    table = np.array([t.ljust(width).encode() for t in terms], dtype=f"S{width}")
    return table.reshape(n_hookpoints, n_latents)


def _block_words(text: str, start: int, end: int) -> str:
    """``text[start:end]`` and the rest of the words that it cuts."""
    start, end = whole_words(text, start, end)
    return separate_ideographs(text[start:end])


def _key(segment: str, number: int) -> str:
    return f"{segment}/{number}"


def block_range(entry: Entry, block: int) -> tuple[int, int]:
    """Rows of one block of a document in the segment's token arrays."""
    first = entry.tokens[0] + (block - entry.first_block) * BLOCK_TOKENS
    return first, min(first + BLOCK_TOKENS, entry.tokens[1])
