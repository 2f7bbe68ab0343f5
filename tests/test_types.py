"""The records between the stages go where Python's own tools take them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from s3_retriever import AddReport, CompressedContext
from s3_retriever.explain.abstain import Abstention
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.explain.why import Example, Explanation, Feature, WhyNot
from s3_retriever.readers import FileChanges, FilesRead
from s3_retriever.storage.bundle import Imported
from s3_retriever.storage.maintenance import Compaction
from s3_retriever.storage.repair import Repaired
from s3_retriever.types import Answer, Document, Span, SpanRef, TokenRange, TokenScore

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
RECORDS = [
    DOCUMENT,
    Document("bare", "Text."),
    SPAN,
    Answer("Old. [1]", (SPAN,), (SPAN,)),
    AddReport(("a",), (), (), {"b": "its text is empty"}, 3, ("a", None)),
    CompressedContext("It is old.", (SPAN,), 4),
    Explanation(
        "How old?",
        SPAN,
        SPAN.tokens,
        {"1.4": 1.5},
        (Feature(1, 7, 0.5, ("old",), (Example("b", 0, 3, "old"),)),),
        {"bm25": 2.0},
    ),
    WhyNot("mill", "It is out of budget.", 3, 64, None, ("old",)),
    Abstention(0.5, 0.9, 0.8),
    FilesRead((DOCUMENT,), {"b.pdf": "it is broken"}, {"c.png": "no reader takes .png"}),
    FileChanges({"old": "new"}, (DOCUMENT,), ("gone",), {"c.md": "its id is taken"}),
    Imported(("a",), ("b",)),
    Compaction((3, 1), (300, 100)),
    Repaired(("a",), ("b",), ("c",), ("d",)),
    SpanRef("mill", 0, 10),
    TokenRange("mill", 0, 3),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
class TestEveryRecord:
    def test_has_plain_fields(self, record: Any) -> None:
        fields = dataclasses.asdict(record)
        assert list(fields) == [field.name for field in dataclasses.fields(record)]

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


def test_a_result_is_copied_with_its_question() -> None:
    result = RetrievalResult([SPAN], "How old?")
    for again in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert again == result
        assert again.question == "How old?"
        assert hash(tuple(again)) == hash(tuple(result))
