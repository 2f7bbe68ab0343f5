"""The metadata of spans: plain, out of the frameworks' way, with the names of release 0.1."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_endogenous import EndogenousCompressor, EndogenousRetriever, EndogenousVectorStore
from langchain_endogenous.documents import from_span

from s3_retriever.engine import Engine
from s3_retriever.types import Span
from tests.integrations.samples import QUESTIONS, needs_profile

SPAN = Span("a", 5, 8, "fox", 0.5, {"bm25": 2.0}, 0, {"doc_id": "parent", "tags": ["x", None]})
OWN = {
    "span_id": "a:5-8",
    "span_doc_id": "a",
    "span_start": 5,
    "span_end": 8,
    "span_score": 0.5,
    "span_scores": {"bm25": 2.0},
    "span_rank": 0,
    "span_score_kind": "sum of relative scores",
}


def kinds(value):
    if isinstance(value, dict):
        return {str}.union(*map(kinds, value.values()))
    if isinstance(value, list):
        return set().union(*map(kinds, value))
    return {type(value)}


def test_names_that_no_framework_uses():
    document = from_span(SPAN)
    assert document.metadata == {**SPAN.metadata, **OWN}
    assert type(document) is Document


@pytest.mark.parametrize(
    "carry",
    [
        copy.deepcopy,
        lambda document: pickle.loads(pickle.dumps(document)),
        lambda document: loads(dumps(document), allowed_objects="core"),
        lambda document: Document(**document.model_dump()),
        lambda document: Document(**json.loads(document.model_dump_json())),
    ],
)
def test_what_is_carried_elsewhere_is_plain(carry):
    document = from_span(SPAN)
    again = carry(document)
    assert again == document
    assert (type(again), type(again.metadata)) == (Document, dict)
    assert again.metadata == {**SPAN.metadata, **OWN}


def test_checkpoints_of_langgraph_keep_documents_in_strict_mode():
    jsonplus = pytest.importorskip("langgraph.checkpoint.serde.jsonplus")
    strict = jsonplus.JsonPlusSerializer(allowed_msgpack_modules=None)
    document = from_span(SPAN)
    (again,) = strict.loads_typed(strict.dumps_typed([document]))
    assert (type(again), again) == (Document, document)


def test_of_two_questions_the_same_span_is_one():
    first, second = from_span(SPAN), from_span(Span("a", 5, 8, "fox", 0.1, {}, 7, SPAN.metadata))
    assert first == second
    assert first != from_span(Span("a", 4, 8, "fox", 0.5, {}, 0, SPAN.metadata))
    assert first.metadata != {**first.metadata, "span_rank": 7}


def test_names_of_release_0_1_go_on_with_a_warning():
    metadata = from_span(SPAN).metadata
    for old, new in (("start_index", "span_start"), ("score", "span_score"), ("rank", "span_rank")):
        with pytest.warns(DeprecationWarning, match=new):
            assert metadata[old] == metadata[new]
        assert old not in metadata
    assert metadata["doc_id"] == "parent"  # the document's own
    with pytest.raises(KeyError, match="nothing"):
        metadata["nothing"]


@needs_profile
def test_whatever_is_found_is_plain(engine):
    components = (
        EndogenousRetriever(engine=engine).invoke,
        EndogenousVectorStore(engine).similarity_search,
        EndogenousVectorStore(engine, spans=True).similarity_search,
        EndogenousVectorStore(engine, spans=True).max_marginal_relevance_search,
        lambda q: EndogenousCompressor(engine=engine).compress_documents(
            [Document("A lighthouse.", metadata={"a": {"b": [1, 2.5, True, None]}})], q
        ),
    )
    for search in components:
        found = search(QUESTIONS[0])
        assert found
        assert {type(document) for document in found} == {Document}
        assert kinds([d.metadata for d in found]) <= {str, int, float, bool, type(None)}


@needs_profile
def test_parents_of_children_are_found(engine):
    """As LangChain's ParentDocumentRetriever does it: children know their parent as doc_id."""
    store = EndogenousVectorStore(Engine(engine.llm, engine.profile), spans=True, mode="bm25")
    parents = {"p1": "The mill is old. It was built in 1780.", "p2": "The tower is new."}
    for parent, text in parents.items():
        store.add_documents([Document(text, metadata={"doc_id": parent, "start_index": 3})])
    found = store.similarity_search("When was the mill built?", k=1)
    assert [d.metadata["doc_id"] for d in found] == ["p1"]
    assert [d.metadata["start_index"] for d in found] == [3]
