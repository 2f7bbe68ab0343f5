"""The records between the stages go where Python's own tools take them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from s3_retriever.types import Answer, Document, Span, TokenScore

METADATA = {"title": "Ünïcode", "year": 1887, "tags": ["a", None, True]}
DOCUMENT = Document("mill", "It is old.", METADATA)
SPAN = Span(
    "mill",
    0,
    10,
    "It is old.",
    0.5,
    {"bm25": 2.0},
    0,
    METADATA,
    (TokenScore(0, 2, 0.1), TokenScore(3, 10, 0.9)),
)
RECORDS = [DOCUMENT, Document("bare", "Text."), SPAN, Answer("Old. [1]", (SPAN,), (SPAN,))]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
class TestEveryRecord:
    def test_is_pickled(self, record: Any) -> None:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(record, protocol)) == record

    def test_is_copied(self, record: Any) -> None:
        assert copy.copy(record) == record
        assert copy.deepcopy(record) == record
        assert dataclasses.replace(record) == record

    def test_is_hashed_and_equal_ones_alike(self, record: Any) -> None:
        assert hash(copy.deepcopy(record)) == hash(record)
        assert {record: 1}[copy.deepcopy(record)] == 1


def test_a_deep_copy_shares_no_metadata() -> None:
    for record in (DOCUMENT, SPAN):
        copied = copy.deepcopy(record)
        assert copied.metadata is not record.metadata
        assert copied.metadata["tags"] is not record.metadata["tags"]


def test_fields_as_plain_values() -> None:
    record = dataclasses.asdict(DOCUMENT)
    assert record == {"id": "mill", "text": "It is old.", "metadata": METADATA}
    assert Document(**record) == DOCUMENT
    plain = dataclasses.asdict(SPAN)
    assert plain["metadata"] == METADATA
    assert plain["tokens"][1] == {"start": 3, "end": 10, "score": 0.9}
    assert dataclasses.astuple(SPAN)[:3] == ("mill", 0, 10)


def test_documents_in_a_set() -> None:
    assert {DOCUMENT, copy.deepcopy(DOCUMENT), Document("other", "It is old.", METADATA)} == {
        DOCUMENT,
        Document("other", "It is old.", METADATA),
    }
