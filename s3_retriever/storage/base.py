"""What retrieval asks of the place where codes and texts are kept, as of one commit.

:class:`~s3_retriever.storage.view.View` is the first implementation;
``s3_retriever.testing.storage`` holds the suite that every one has to pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from s3_retriever.search.filters import Filter
from s3_retriever.types import Document, Metadata, SpanRef, TextBounds, TokenBatch, TokenRange

__all__ = ["BlockCodes", "CodeStore"]


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
