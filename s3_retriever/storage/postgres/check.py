"""Is an index in PostgreSQL whole: every document with its text, its codes and its look-up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from s3_retriever.errors import IndexStorageError
from s3_retriever.quoting import quoted
from s3_retriever.storage.postgres.view import PostgresView
from s3_retriever.storage.segment_format import codes_digest

__all__ = ["problems"]


def problems(view: PostgresView) -> Iterator[str]:
    """What is wrong with an index, a sentence each; nothing is changed.

    Raises:
        IndexStorageError: the server does not answer.
    """
    directory = view.directory()
    if (n := len(directory.ids)) != view.n_documents:
        yield f"{n} documents are there, and the commits say {view.n_documents}"
    for doc_id in directory.ids:
        try:
            yield from _of_document(view, doc_id)
        except IndexStorageError as e:
            yield str(e)
    looked_up = view.search.owners
    for doc_id, number, n_blocks in zip(
        directory.ids, directory.numbers.tolist(), directory.n_blocks.tolist(), strict=True
    ):
        if (found := int((looked_up == number).sum())) != n_blocks:
            yield f"document {quoted(doc_id)}: {found} of {n_blocks} blocks can be looked up"


def _of_document(view: PostgresView, doc_id: str) -> Iterator[str]:
    record = view.record(doc_id)
    (coded,) = view.encoded([doc_id])
    arrays = [np.ascontiguousarray(a) for a in (coded.ids, coded.activations)]
    arrays += [coded.starts, coded.ends, coded.bounds.sentences, coded.bounds.paragraphs]
    if codes_digest(*arrays) != record.digest:
        yield f"the codes of document {quoted(doc_id)} are damaged"
