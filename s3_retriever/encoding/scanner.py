"""The streaming scan: every document is read once, chunk by chunk, without a KV cache.

Source: S3-Attention (arXiv 2601.17702), streaming semantic indexing. What is kept of a chunk is
the sparse code of its keys, on the host; everything else is dropped before the next batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from s3_retriever.encoding.chunk_reader import ChunkReader
from s3_retriever.encoding.chunks import batches, rounds
from s3_retriever.encoding.codes import Coded, code_batch, id_dtype
from s3_retriever.models.base import KeyReader
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.text import find_bounds, language_of
from s3_retriever.types import Document, EncodedDocument, Tokens

__all__ = ["Scanner"]


@dataclass(frozen=True)
class _Pending:
    """A document that is being read."""

    document: Document
    tokens: Tokens
    ids: np.ndarray
    activations: np.ndarray


class _Chunk(NamedTuple):
    """Tokens ``start`` to ``end`` of a document, read alone."""

    of: _Pending
    start: int
    end: int

    @property
    def characters(self) -> int:
        tokens = self.of.tokens
        return int(tokens.ends[self.end - 1]) - int(tokens.starts[self.start])


class Scanner:
    """Turns documents into codes with one model and one profile.

    The profile's autoencoders are not moved: where the keys are on another device, copies are.
    """

    def __init__(self, llm: KeyReader, profile: Profile, settings: ScanSettings) -> None:
        """Make room for the profile's prefix in the model's window.

        Args:
            llm: reads the keys.
            profile: which keys are read, and the autoencoders that code them.
            settings: sizes of chunks and batches.

        Raises:
            ProfileError: the prefix leaves no room for text.
        """
        self._llm = llm
        self._profile = profile
        self._settings = settings
        card = profile.card
        self._reader = ChunkReader(
            llm, card.chunk_prefix, bos=card.bos, chunk_tokens=settings.chunk_tokens
        )

    def scan(
        self,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> Iterator[EncodedDocument]:
        """Read documents; they come back in order, round by round.

        Args:
            documents: taken lazily, a round (see :func:`~s3_retriever.encoding.chunks.rounds`) at
                a time.
            on_progress: called for each forward pass, once its codes are on the host, with its
                tokens and characters.
        """
        for together in rounds(documents, self._settings.batch_tokens):
            yield from self.scan_round(together, on_progress=on_progress)

    def scan_round(
        self,
        documents: Sequence[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> list[EncodedDocument]:
        """Read one round; see :meth:`scan`."""
        reading = [self._prepare(document) for document in documents]
        work = [
            _Chunk(pending, start, end)
            for pending in reading
            for start, end in self._reader.chunks(len(pending.tokens))
        ]
        self._read(work, on_progress)
        return [self._finished(pending) for pending in reading]

    def _prepare(self, document: Document) -> _Pending:
        tokens = self._llm.tokenize(document.text)
        card = self._profile.card
        shape = (len(tokens), len(card.hookpoints), card.k)
        ids = np.zeros(shape, dtype=id_dtype(card.n_latents))
        return _Pending(document, tokens, ids, np.zeros(shape, np.uint8))

    @staticmethod
    def _finished(done: _Pending) -> EncodedDocument:
        return EncodedDocument(
            document=done.document,
            starts=done.tokens.starts,
            ends=done.tokens.ends,
            ids=done.ids,
            activations=done.activations,
            bounds=find_bounds(done.document.text, language_of(done.document.metadata)),
        )

    def _read(self, work: Sequence[_Chunk], on_progress: Callable[[int, int], None]) -> None:
        lengths = [len(self._reader.prefix) + c.end - c.start for c in work]
        on_its_way: tuple[list[_Chunk], Coded] | None = None
        for group in batches(lengths, self._settings.batch_tokens):
            chunks = [work[i] for i in group]
            ids = [c.of.tokens.ids[c.start : c.end] for c in chunks]
            coded = code_batch(self._profile, self._reader.read(ids, self._profile.layers))
            # on a GPU this batch has only been asked for: meanwhile the last one is put away
            if on_its_way is not None:
                _put_away(*on_its_way, on_progress)
            on_its_way = chunks, coded
        if on_its_way is not None:
            _put_away(*on_its_way, on_progress)


def _put_away(
    chunks: Sequence[_Chunk], coded: Coded, on_progress: Callable[[int, int], None]
) -> None:
    """Give each document its codes."""
    ids, steps = coded.take()
    start = 0
    for chunk in chunks:
        end = start + chunk.end - chunk.start
        chunk.of.ids[chunk.start : chunk.end] = ids[start:end]
        chunk.of.activations[chunk.start : chunk.end] = steps[start:end]
        start = end
    on_progress(start, sum(chunk.characters for chunk in chunks))
