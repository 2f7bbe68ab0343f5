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

__all__ = ["InterruptedScanError", "Scanner"]


class InterruptedScanError(KeyboardInterrupt):
    """The user interrupts reading in the middle of a round.

    Example:
        >>> InterruptedScanError().read
        ()
    """

    def __init__(self, read: Sequence[EncodedDocument] = ()) -> None:
        """Keep the documents of the round that were read to their end."""
        super().__init__()
        self.read = tuple(read)


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
        """Read one round; see :meth:`scan`.

        Raises:
            InterruptedScanError: as a ``KeyboardInterrupt``, with what was read.
        """
        reading = [self._prepare(document) for document in documents]
        work = [
            _Chunk(pending, start, end)
            for pending in reading
            for start, end in self._reader.chunks(len(pending.tokens))
        ]
        done: set[int] = set()
        try:
            self._read(work, done, on_progress)
        except KeyboardInterrupt as e:
            unread = {id(c.of) for n, c in enumerate(work) if n not in done}
            whole = [pending for pending in reading if id(pending) not in unread]
            raise InterruptedScanError([self._finished(pending) for pending in whole]) from e
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

    def _read(
        self, work: Sequence[_Chunk], done: set[int], on_progress: Callable[[int, int], None]
    ) -> None:
        """Read chunks; the numbers of those that are coded go to ``done``."""
        lengths = [len(self._reader.prefix) + c.end - c.start for c in work]
        waiting: tuple[list[int], Coded] | None = None

        def put_away(group: list[int], coded: Coded) -> None:
            chunks = [work[i] for i in group]
            _put_away(chunks, coded)
            done.update(group)
            on_progress(sum(c.end - c.start for c in chunks), sum(c.characters for c in chunks))

        try:
            for group in batches(lengths, self._settings.batch_tokens):
                ids = [(c := work[i]).of.tokens.ids[c.start : c.end] for i in group]
                coded = code_batch(self._profile, self._reader.read(ids, self._profile.layers))
                # on a GPU it has only been asked for: meanwhile the batch before is put away
                before, waiting = waiting, (group, coded)
                if before is not None:
                    put_away(*before)
                if not coded.on_its_way:
                    waiting = None
                    put_away(group, coded)
        finally:  # what was read when an interrupt comes is kept
            if waiting is not None:
                put_away(*waiting)


def _put_away(chunks: Sequence[_Chunk], coded: Coded) -> None:
    """Give each document its codes."""
    ids, steps = coded.take()
    start = 0
    for chunk in chunks:
        end = start + chunk.end - chunk.start
        chunk.of.ids[chunk.start : chunk.end] = ids[start:end]
        chunk.of.activations[chunk.start : chunk.end] = steps[start:end]
        start = end
