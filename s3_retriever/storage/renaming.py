"""Documents under other ids: their texts are not read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from s3_retriever.errors import InputError
from s3_retriever.storage.index import Index
from s3_retriever.types import EncodedDocument
from s3_retriever.validation import stored

__all__ = ["rename"]

_COMMIT_TOKENS = 1 << 18
"""Tokens that are committed at once."""


def rename(index: Index, names: Mapping[str, str]) -> int:
    """Give documents other ids, by their present ones; returns how many were there.

    Raises:
        InputError: an id is taken, or wanted twice, or none that can be kept; nothing was changed.
        IndexLockedError: another process is writing.
        IndexStorageError: a text is damaged, or the folder cannot be written.
    """
    with index.writing():
        live = index.snapshot.live
        there = {old: new for old, new in names.items() if old in live and old != new}
        if len(set(there.values())) < len(there) or any(new in live for new in there.values()):
            raise InputError("a document cannot be given the id of another one")
        waiting: list[EncodedDocument] = []
        leaving: list[str] = []
        n_waiting = 0
        for old, new in there.items():
            segment, entry = live[old]
            coded = segment.encoded(entry)
            waiting.append(replace(coded, document=stored(replace(coded.document, id=new))))
            leaving.append(old)
            n_waiting += entry.n_tokens
            if n_waiting >= _COMMIT_TOKENS:
                index.commit(waiting, delete=leaving)
                waiting, leaving, n_waiting = [], [], 0
        if waiting:
            index.commit(waiting, delete=leaving)
        return len(there)
