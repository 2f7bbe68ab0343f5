"""What a synthesizer shows the model of a result is within the budget that was asked for."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.retrievers.endogenous import (
    EndogenousLLM,
    EndogenousPostprocessor,
    EndogenousRetriever,
)
from llama_index.retrievers.endogenous.nodes import to_document

from s3_retriever import Engine
from tests.integrations.samples import DOCUMENTS, QUESTIONS, needs_profile

pytestmark = needs_profile

QUESTION = QUESTIONS[0]
BUDGETS = [24, 64, 120, 200]
NODES = [
    TextNode(
        id_=document.id,
        text=document.text,
        metadata={
            "file_path": f"/srv/archive/2024/islands/{document.id}/final-version.md",
            "section": "Places > Buildings > Description of the building and its history",
            "topic": document.metadata["topic"],
            "secret": "never shown " * 9,
        },
        excluded_llm_metadata_keys=["secret"],
    )
    for document in DOCUMENTS
]


@pytest.fixture(scope="module")
def described(engine):
    """The sample texts, whose metadata take more tokens than their sentences."""
    aside = Engine(engine.llm, engine.profile)
    aside.add([to_document(node) for node in NODES])
    return aside


@pytest.fixture
def prompts(engine, monkeypatch):
    """Each prompt that the model was given."""
    seen = []
    stream = type(engine.llm).stream

    def watching(self, input_ids, **options):
        seen.append(list(input_ids))
        return stream(self, input_ids, **options)

    monkeypatch.setattr(type(engine.llm), "stream", watching)
    return seen


def shown(nodes):
    return [found.node.get_content(metadata_mode=MetadataMode.LLM) for found in nodes]


@pytest.mark.parametrize("max_tokens", BUDGETS)
def test_a_query_engine_reads_no_more_than_was_asked_for(described, prompts, max_tokens):
    llm = EndogenousLLM(llm=described.llm, max_tokens=4)
    retriever = EndogenousRetriever(described, max_tokens=max_tokens, mode="fast")
    asked = RetrieverQueryEngine.from_args(retriever, llm=llm)
    response = asked.query(QUESTION)
    (read,) = prompts
    template = asked.get_prompts()["response_synthesizer:text_qa_template"]
    messages = template.format_messages(llm=llm, context_str="", query_str=QUESTION)
    bare = described.llm.chat_ids([{"role": m.role.value, "content": m.content} for m in messages])
    assert len(read) - len(bare) <= max_tokens
    assert response.source_nodes[0].node.text in described.llm.decode(read)


@pytest.mark.parametrize("max_tokens", BUDGETS)
def test_metadata_and_empty_lines_are_paid_for(described, max_tokens):
    retriever = EndogenousRetriever(described, max_tokens=max_tokens, mode="fast")
    found = retriever.retrieve(QUESTION)
    assert 0 < described.llm.count_tokens("\n\n".join(shown(found))) <= max_tokens
    assert not any("never shown" in text for text in shown(found))
    if max_tokens >= 120:
        assert "topic: sea" in shown(found)[0]
    awaited = asyncio.run(retriever.aretrieve(QUESTION))
    assert [one.node.id_ for one in awaited] == [one.node.id_ for one in found]


def test_of_the_best_the_text_is_there_if_the_budget_has_no_room_for_its_metadata(described):
    (best,) = EndogenousRetriever(described, max_tokens=24, mode="fast").retrieve(QUESTION)
    assert shown([best]) == [best.node.text]
    assert best.node.metadata["topic"] == "sea"


def test_without_a_budget_everything_is_there(described):
    found = EndogenousRetriever(described, max_tokens=None, mode="fast").retrieve(QUESTION)
    assert len(found) == len(described.retrieve(QUESTION, max_tokens=None, mode="fast"))


@pytest.mark.parametrize("max_tokens", BUDGETS)
def test_a_postprocessor_keeps_it_too(described, max_tokens):
    cut = EndogenousPostprocessor(engine=described, max_tokens=max_tokens, mode="fast")
    given = EndogenousRetriever(described, max_tokens=None, mode="fast").retrieve(QUESTION)
    found = cut.postprocess_nodes(given[:6], query_str=QUESTION)
    assert 0 < described.llm.count_tokens("\n\n".join(shown(found))) <= max_tokens


def test_a_server_counts_alike(server, engine):
    from tests.integrations.samples import TOKEN

    asked = {"max_tokens": 60, "mode": "fast"}
    here = EndogenousRetriever(engine, **asked).retrieve(QUESTION)
    there = EndogenousRetriever(url=server.url, token=TOKEN, **asked).retrieve(QUESTION)
    assert shown(there) == shown(here)
