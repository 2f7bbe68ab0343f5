"""The LlamaIndex retriever, on the real model."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, QueryBundle
from llama_index.core.schema import MetadataMode
from llama_index.retrievers.endogenous import EndogenousRetriever

from s3_retriever.errors import InputError
from tests.integrations.samples import (
    METADATA,
    PROFILE,
    QUESTIONS,
    TEXTS,
    assert_exact,
    needs_profile,
)

pytestmark = needs_profile


@pytest.fixture
def retriever(engine):
    return EndogenousRetriever(engine)


@pytest.mark.parametrize("question", QUESTIONS)
def test_nodes_are_slices_of_the_added_texts(retriever, engine, question):
    found = retriever.retrieve(question)
    spans = engine.retrieve(question, max_tokens=512)
    assert found
    for rank, (scored, span) in enumerate(zip(found, spans, strict=True)):
        node = scored.node
        assert_exact(span, node.ref_doc_id, node.start_char_idx, node.end_char_idx, node.text)
        assert node.id_ == f"{node.ref_doc_id}:{node.start_char_idx}-{node.end_char_idx}"
        assert scored.score == span.score
        assert node.metadata["rank"] == rank
        assert node.metadata["scores"] == dict(span.scores)
        assert node.metadata["topic"] == METADATA[node.ref_doc_id]["topic"]


def test_metadata_of_the_same_name_stay_with_the_source(retriever):
    retriever.filter = {"topic": "trains"}
    node = retriever.retrieve(QUESTIONS[2])[0].node
    assert node.metadata["rank"] == 0
    assert node.source_node.metadata == METADATA["museum"]


def test_prompts_do_not_show_ranks_and_scores(retriever):
    prompt = retriever.retrieve(QUESTIONS[0])[0].node.get_content(MetadataMode.LLM)
    assert "topic: sea" in prompt
    assert "rank" not in prompt
    assert "score" not in prompt


def test_settings(engine):
    retriever = EndogenousRetriever(engine, k=1, mode="bm25", filter={"topic": "food"})
    (only,) = retriever.retrieve("lighthouse dough")
    assert only.node.ref_doc_id == "bakery"
    assert set(only.node.metadata["scores"]) == {"bm25"}
    short = EndogenousRetriever(engine, max_tokens=40).retrieve(QUESTIONS[0])
    assert 0 < sum(engine.llm.count_tokens(n.text) for n in short) <= 40


def test_async_agrees_with_sync(retriever):
    alone = [[n.node_id for n in retriever.retrieve(question)] for question in QUESTIONS]

    async def at_once():
        return await asyncio.gather(*(retriever.aretrieve(QueryBundle(q)) for q in QUESTIONS))

    assert [[n.node_id for n in found] for found in asyncio.run(at_once())] == alone


def test_an_empty_question_is_refused(retriever):
    with pytest.raises(InputError):
        retriever.retrieve(" ")


def test_from_documents_and_adding_more(tmp_path):
    retriever = EndogenousRetriever.from_documents(
        [Document(text=TEXTS["bakery"], id_="bakery", metadata={"topic": "food"})],
        tmp_path / "index",
        PROFILE,
        k=2,
    )
    assert retriever.k == 2
    sea = Document(text=TEXTS["lighthouse"], id_="sea")
    assert retriever.add_documents([Document(text=" ", id_="empty"), sea]) == ["sea"]
    assert retriever.add_documents([sea]) == ["sea"]
    assert retriever.add_documents([]) == []
    assert retriever.engine.ids() == ["bakery", "sea"]
    assert retriever.engine.get("bakery").metadata == {"topic": "food"}
    assert retriever.retrieve("Who built the lighthouse?")[0].node.ref_doc_id == "sea"
