"""One index in PostgreSQL as its readers and writers share it: connections, layout, caches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import numpy as np

from s3_retriever.errors import IndexStorageError
from s3_retriever.forking import ForkLock
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.quoting import brief
from s3_retriever.storage.manifest import Manifest
from s3_retriever.storage.postgres.batches import Batch
from s3_retriever.storage.postgres.codec import document_key
from s3_retriever.storage.postgres.connection import Database, Row
from s3_retriever.storage.postgres.records import RecordCache
from s3_retriever.storage.postgres.schema import Layout, open_schema, read_layout
from s3_retriever.storage.postgres.url import StoreUrl

__all__ = ["Tables"]


class Tables:
    """The tables of one index, and what is known of them."""

    def __init__(self, db: Database, layout: Layout, weights: str | None = None) -> None:
        """Take what is open; use :meth:`open` or :meth:`existing`."""
        self.db = db
        self.layout = layout
        self.weights = weights
        self.records = RecordCache()
        self.batches: dict[tuple[int, int], Batch] = {}
        """By part and number; those of former states are forgotten with the next."""
        self.batches_lock = ForkLock()

    @classmethod
    def open(cls, url: StoreUrl, card: ProfileCard, weights: str | None) -> Tables:
        """Those of an index, which is made if need be.

        Raises:
            IndexMismatchError: they were made with another profile, weights or a newer release.
            IndexStorageError: the server does not answer or refuses.
        """
        db = Database(url)
        return cls(db, open_schema(db, card, weights), weights)

    @classmethod
    def existing(cls, url: StoreUrl) -> Tables | None:
        """Those of an index whatever profile it was made with, to be read; ``None`` if none is.

        Raises:
            IndexMismatchError: they are of a newer release.
            IndexStorageError: the server does not answer or refuses.
        """
        db = Database(url)
        layout = read_layout(db)
        return None if layout is None else cls(db, layout)

    @property
    def url(self) -> StoreUrl:
        """Where it lies."""
        return self.db.url

    @property
    def parts(self) -> list[int]:
        """Numbers of the partitions."""
        return list(range(self.layout.partitions))

    def part_of(self, key: int) -> int:
        """The partition of a document by its key."""
        return key % self.layout.partitions

    def part_of_id(self, doc_id: str) -> int:
        """The partition of a document."""
        return self.part_of(document_key(doc_id))

    @property
    def ids_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Of latents."""
        return np.dtype("<u2") if self.layout.n_latents <= 1 << 16 else np.dtype("<u4")

    @property
    def code_shape(self) -> tuple[int, int]:
        """Hookpoints, and latents of a token."""
        return self.layout.n_hookpoints, self.layout.k

    def codes(self, ids: np.ndarray, activations: np.ndarray) -> bytes:
        """The codes of a block as a value of its row."""
        return ids.astype(self.ids_dtype).tobytes() + activations.astype(np.uint8).tobytes()

    def decoded(self, codes: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Latents and activations of a block, ``(n, n_hookpoints, k)`` each.

        Raises:
            IndexStorageError: a latent does not exist: the row was damaged since.
        """
        a_token = self.code_shape[0] * self.code_shape[1]
        n, rest = divmod(len(codes), a_token * (self.ids_dtype.itemsize + 1))
        ids = np.frombuffer(codes, self.ids_dtype, n * a_token)
        if rest or int(ids.max(initial=0)) >= self.layout.n_latents:
            raise IndexStorageError(f"the codes of index {brief(self.url)} are damaged")
        activations = np.frombuffer(codes, np.uint8, n * a_token, ids.nbytes)
        shape = (n, *self.code_shape)
        return ids.reshape(shape), activations.reshape(shape)

    def accept(self, manifest: Manifest, what: str, card: ProfileCard) -> None:
        """Make sure that codes which are taken over were made with the same profile and weights.

        Where the index does not know its weights yet, the next commit records those of ``what``.

        Raises:
            IndexMismatchError: they were not; names both sides.
        """
        self.weights = self.weights or self.layout.manifest.weights
        manifest.check(card, self.weights, what)
        self.weights = self.weights or manifest.weights

    def query(self, statement: LiteralString, *values: Any) -> Sequence[Row]:
        """As of :meth:`Database.query`."""
        return self.db.query(statement, *values)
