"""What retrieval asks of the place where codes and texts are kept, and what an engine asks of it.

:class:`~s3_retriever.storage.view.View` is the first :class:`CodeStore`;
``s3_retriever.testing.storage`` holds the suite that every one has to pass.
:class:`~s3_retriever.storage.documents.Documents` is the first :class:`DocumentStore`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from s3_retriever.search.base import CandidateSearch
from s3_retriever.search.filters import Filter
from s3_retriever.types import (
    Document,
    EncodedDocument,
    Metadata,
    SpanRef,
    TextBounds,
    TokenBatch,
    TokenRange,
)

if TYPE_CHECKING:
    from pathlib import Path

    from s3_retriever.storage.bundle import Imported
    from s3_retriever.storage.maintenance import Compaction
    from s3_retriever.storage.manifest import Manifest

__all__ = ["BlockCodes", "CodeStore", "Committed", "DocumentStore", "IndexView"]


class BlockCodes(NamedTuple):
    """The codes of some whole blocks, for looking at every token of an index."""

    ids: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` latents."""
    activations: np.ndarray
    """``(n_tokens, n_hookpoints, k)`` uint8 steps."""
    lengths: np.ndarray
    """``(n_blocks,)`` tokens of each block."""
    blocks: np.ndarray
    """``(n_blocks,)`` int64 numbers by which :meth:`CodeStore.block_ranges` knows them."""


class CodeStore(Protocol):
    """Codes, texts and bounds of documents. What it gives never changes; texts are checked.

    Blocks are runs of :data:`~s3_retriever.search.base.BLOCK_TOKENS` tokens of one document, the
    last one shorter. But for :meth:`document`, what is asked about an id of no document raises
    ``KeyError``; tokens outside a document raise ``IndexError``. Any thread may ask.
    """

    @property
    def n_documents(self) -> int:
        """Documents."""

    @property
    def n_tokens(self) -> int:
        """Tokens of all documents."""

    @property
    def df(self) -> np.ndarray:
        """``(n_hookpoints, n_latents)`` int64: tokens at which each latent is active.

        Only defined where there is a document.
        """

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""

    def document_ids(self, filter: Filter | None = None) -> list[str]:
        """Ids of all documents, or of those whose metadata pass, in order of addition.

        Raises:
            InputError: an unknown operator.
        """

    def document(self, doc_id: str) -> Document | None:
        """A document as it was added, or ``None``.

        Raises:
            IndexStorageError: its text was damaged since.
        """

    def metadata(self, doc_id: str) -> Metadata:
        """A document's metadata; not to be changed."""

    def text(self, ref: SpanRef) -> str:
        """The characters of a span.

        Raises:
            IndexStorageError: the document's text was damaged since.
        """

    def bounds(self, doc_id: str) -> TextBounds:
        """Where a document's sentences and paragraphs stand."""

    def n_characters(self, doc_id: str) -> int:
        """Length of a document's text."""

    def count_tokens(self, ref: SpanRef) -> int:
        """Tokens that begin in a span, as they were scanned."""

    def whole(self, filter: Filter | None = None, *, most_blocks: int) -> list[TokenRange] | None:
        """Every document (that passes) as one range; ``None`` if they have more blocks."""

    def whole_document(self, doc_id: str) -> TokenRange:
        """All tokens of a document."""

    def merged(self, ranges: Iterable[TokenRange]) -> list[TokenRange]:
        """Ranges in the store's order of documents; those that meet or overlap as one.

        In time of the ranges alone, not of the documents in the store.
        """

    def characters(self, ranges: Sequence[TokenRange]) -> list[SpanRef]:
        """From the first character of each range's first token to the last of its last."""

    def tokens(self, ranges: Sequence[TokenRange]) -> TokenBatch:
        """The codes and places of tokens; ranges may overlap and come in any order.

        Raises:
            IndexError: a range is empty or outside its document.
        """

    def sample_blocks(self, filter: Filter | None, n_blocks: int) -> TokenBatch:
        """The tokens of so many blocks (that pass) at equal distances: a picture of the whole."""

    def scan_blocks(self, filter: Filter | None, n_tokens: int) -> Iterator[BlockCodes]:
        """The codes of all blocks (of documents that pass), each once, in the store's order.

        Args:
            filter: only blocks of documents whose metadata pass.
            n_tokens: at most so many at once, but at least one block.
        """

    def block_ranges(self, blocks: Sequence[int]) -> list[TokenRange]:
        """The tokens of blocks that :meth:`scan_blocks` numbered."""


class IndexView(CodeStore, Protocol):
    """One state of an index: its codes and texts, and what looks blocks of them up."""

    @property
    def search(self) -> CandidateSearch:
        """Looks up blocks."""


@dataclass(frozen=True)
class Committed:
    """What became of the documents of one commit."""

    added: tuple[str, ...] = ()
    """Ids that were new."""
    updated: tuple[str, ...] = ()
    """Ids that were there, with another text or other metadata."""
    unchanged: tuple[str, ...] = ()
    """Ids that were there with the same text and metadata."""
    missed: tuple[Document, ...] = ()
    """Held for known, but not there any more with that text: they have to be read."""


class DocumentStore(Protocol):
    """Where an engine keeps documents: a folder, memory or a database."""

    @property
    def location(self) -> str | None:
        """Path or URL that opens it again, without a password; ``None`` is in memory."""

    @property
    def manifest(self) -> Manifest:
        """The profile that it was made with."""

    @property
    def view(self) -> IndexView:
        """The newest state, what other processes have committed included."""

    def check_writable(self) -> None:
        """Make sure that documents could be put there now: who cannot write is told before reading.

        Raises:
            IndexLockedError: another process is writing, where one at a time does.
            IndexStorageError: nothing could be written.
        """

    def known(self, documents: Iterable[Document]) -> set[str]:
        """Ids of the documents that are there with the same text."""

    def commit(self, coded: Sequence[EncodedDocument], known: Sequence[Document] = ()) -> Committed:
        """Put documents there in one step; one whose id is there is replaced.

        Args:
            coded: with their codes.
            known: documents whose text should be there: they get their metadata.

        Raises:
            IndexLockedError: another process is writing, where one at a time does.
            IndexStorageError: nothing was changed.
        """

    def refresh(self) -> None:
        """See what other processes have committed; reading methods do so by themselves."""

    def get(self, doc_id: str) -> Document | None:
        """A document as it was added, or ``None``."""

    def get_many(self, ids: Iterable[str]) -> list[Document]:
        """Documents as they were added, each once; those that are not there are left out."""

    def ids(self, filter: Filter | None = None, limit: int | None = None) -> list[str]:
        """Ids of all documents, or of those whose metadata pass, in order of addition."""

    def ids_of_text(self, text: str, filter: Filter | None = None) -> list[str]:
        """Ids of the documents whose text is exactly this one, in order of addition."""

    def metadata(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every document's id and metadata, which are not to be changed."""

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""

    def __len__(self) -> int:
        """Number of documents."""

    def delete(self, ids: Iterable[str]) -> int:
        """Remove documents; returns how many were there."""

    def delete_where(self, filter: Filter) -> int:
        """Remove the documents whose metadata pass ``filter``; returns how many."""

    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int:
        """Replace documents' metadata, by id; returns how many were there."""

    def rename(self, names: Mapping[str, str]) -> int:
        """Give documents other ids, by their present ones; returns how many were there."""

    def compact(self) -> Compaction:
        """Reclaim the space of what was deleted; questions go on meanwhile."""

    def snapshot(self, folder: str | Path) -> None:
        """Copy the index to a new folder, where it can be opened.

        Raises:
            InputError: it is none that could be copied so; says what to do.
        """

    def export_bundle(self, path: str | Path) -> int:
        """Write all documents with their codes into one file; returns how many."""

    def import_bundle(self, path: str | Path) -> Imported:
        """Add the documents of a bundle, without reading them; same ids are replaced."""

    def describe(self) -> dict[str, Any]:
        """Counts, bytes by part, the profile's name and fingerprint, as plain JSON values."""

    def namespace(self, name: str) -> str | Path | None:
        """Where the index of a namespace lies; ``None`` is in memory.

        Raises:
            InputError: no name for a namespace.
        """

    def namespaces(self) -> list[str]:
        """Names of the namespaces that hold an index, sorted."""

    def delete_namespace(self, name: str) -> bool:
        """Delete the index of a namespace; returns whether there was one.

        Raises:
            InputError: no name for a namespace.
            IndexLockedError: it is in use.
        """
