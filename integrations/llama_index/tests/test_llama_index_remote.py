"""LlamaIndex's components over a server that runs: what they find is what they find here."""

from __future__ import annotations

import asyncio
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("llama_index.core")

import llama_index.core
from llama_index.core import Document
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.utils import get_tokenizer
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.retrievers.endogenous import (
    EndogenousIndex,
    EndogenousLLM,
    EndogenousPostprocessor,
    EndogenousRetriever,
)
from pydantic import ValidationError

from s3_retriever.client import Client
from s3_retriever.errors import EndogenousError, InputError
from tests.integrations.samples import QUESTIONS, TEXTS, TOKEN, needs_profile

pytestmark = needs_profile


@pytest.fixture
def remote(server):
    return {"url": server.url, "token": TOKEN}


def shown(found):
    return [(n.node_id, n.text, n.score, n.metadata) for n in found]


def test_the_retriever_finds_what_it_finds_here(engine, remote):
    said = MetadataFilter(key="topic", operator=FilterOperator.TEXT_MATCH, value="oo")
    for asked in (
        {"k": 2},
        {"filter": {"year": 1952}},
        {"filters": MetadataFilters(filters=[said])},
    ):
        here = EndogenousRetriever(engine, mode="fast", **asked)
        there = EndogenousRetriever(**remote, mode="fast", **asked)
        for question in QUESTIONS:
            expected = shown(here.retrieve(question))
            assert shown(there.retrieve(question)) == expected
            assert shown(asyncio.run(there.aretrieve(question))) == expected


def test_documents_go_there_and_come_back(remote, namespace):
    documents = [Document(text="The fox is red.", id_="fox"), Document(text=" ", id_="blank")]
    index = EndogenousIndex.from_documents(documents, **remote, namespace=namespace)
    assert list(index.ref_doc_info) == ["fox"]
    assert index.docstore.get_document("fox").text == "The fox is red."

    async def work():
        await index.ainsert(Document(text="The owl is grey.", id_="owl"))
        part = TextNode(text="A part.", id_="part")
        await index.ainsert_nodes([part])
        changed = await index.arefresh_ref_docs(
            [Document(text="The owl is grey.", id_="owl"), Document(text="It is blue.", id_="fox")]
        )
        await index.adelete_nodes(["part", "nobody"])
        await index.adelete_ref_doc("owl")
        await index.aupdate_ref_doc(Document(text="It is green.", id_="fox"))
        return changed

    assert asyncio.run(work()) == [False, True]
    assert {i: d.text for i, d in index.docstore.docs.items()} == {"fox": "It is green."}
    index.delete_ref_doc("fox")
    assert index.ref_doc_info == {}
    with pytest.raises(InputError, match="a server's, which keeps it"):
        index.persist("anywhere")


def test_the_llm_says_what_it_says_here(engine, remote):
    question = "What is the capital of France?"
    here = EndogenousLLM(llm=engine.llm, max_tokens=16)
    there = EndogenousLLM(**remote, max_tokens=16)
    expected = here.complete(question)
    assert there.complete(question).text == expected.text
    assert there.complete(question).additional_kwargs == expected.additional_kwargs
    assert [p.text for p in there.stream_complete(question)][-1] == expected.text
    messages = [ChatMessage(role="user", content=question)]

    async def awaited():
        whole = await there.achat(messages)
        completed = await there.acomplete(question, stop=[" is"])
        pieces = [p.delta async for p in await there.astream_chat(messages)]
        texts = [p.text async for p in await there.astream_complete(question)]
        return whole.message.content, completed.text, "".join(pieces), texts[-1]

    text = expected.text
    assert asyncio.run(awaited()) == (text, "The capital of France", text, text)
    assert 0 < there.metadata.context_window < engine.llm.window
    assert there.metadata.num_output == 16


@pytest.mark.parametrize("budget", [{"max_tokens": 24}, {"max_tokens": None, "k": 2}])
def test_the_postprocessor_cuts_as_it_cuts_here(engine, remote, budget):
    here = EndogenousPostprocessor(engine=engine, mode="fast", **budget)
    there = EndogenousPostprocessor(**remote, mode="fast", **budget)
    nodes = [TextNode(text=text, id_=name) for name, text in TEXTS.items()]
    given = [NodeWithScore(node=node, score=0.5) for node in [*nodes, TextNode(text=" ")]]
    expected = shown(here.postprocess_nodes(given, query_str=QUESTIONS[1]))
    assert expected
    found = there.postprocess_nodes(given, query_str=QUESTIONS[1])
    assert shown(found) == expected
    assert found[0].node.source_node.node_id in TEXTS
    found = asyncio.run(there.apostprocess_nodes(given, query_str=QUESTIONS[1]))
    assert shown(found) == expected
    assert there.postprocess_nodes([], query_str=QUESTIONS[0]) == []
    with pytest.raises(InputError, match="give the question"):
        there.postprocess_nodes(given)


def test_prompts_are_packed_in_the_servers_tokens(engine, remote, monkeypatch):
    monkeypatch.setattr(llama_index.core, "global_tokenizer", None)
    config = engine.llm.model.config.get_text_config()  # of the server's, too
    monkeypatch.setattr(config, "max_position_embeddings", 700)
    there = EndogenousLLM(**remote, max_tokens=3)
    tokenizer = get_tokenizer()
    for text in (*TEXTS.values(), "half \ud83d a pair", ""):
        plain = text.encode("utf-8", "replace").decode("utf-8")
        assert tokenizer(text) == tokenizer(text) == engine.llm.tokenize(plain).ids.tolist()
    thai = TextNode(text="ประภาคารแห่งนี้สร้างขึ้นโดยวิศวกร" * 400)
    made = get_response_synthesizer(llm=there, response_mode=ResponseMode.SIMPLE_SUMMARIZE)
    assert str(made.synthesize("ใคร?", [NodeWithScore(node=thai, score=1.0)]))
    refused = EndogenousLLM(url=remote["url"], token="wrong-0123456789abcdef")
    assert get_tokenizer()("The owl is grey.") == list(b"The owl is grey.")
    assert refused.llm is not None


def test_a_query_engine_answers_over_a_server(remote):
    index = EndogenousIndex(**remote)
    answer = index.as_query_engine(mode="fast", k=1).query(QUESTIONS[0])
    assert str(answer)
    assert answer.source_nodes[0].node.ref_doc_id == "lighthouse"


def test_awaiting_takes_one_loop_and_no_thread(remote, namespace):
    class Refusing(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            raise AssertionError("a thread was asked for")

    retriever = EndogenousRetriever(**remote, mode="fast", k=1)
    index = EndogenousIndex(**remote, namespace=namespace)
    llm = EndogenousLLM(**remote, max_tokens=3)
    cut = EndogenousPostprocessor(**remote, mode="fast", k=1)

    async def work():
        asyncio.get_running_loop().set_default_executor(Refusing(1))
        asked = [retriever.aretrieve(f"{QUESTIONS[n % 3]} {n}") for n in range(20)]
        found = await asyncio.gather(*asked)
        await index.ainsert(Document(text="The owl is grey.", id_="owl"))
        assert await cut.apostprocess_nodes(found[0], query_str=QUESTIONS[0])
        return found, await llm.acomplete("What is the capital of France?")

    found, said = asyncio.run(work())
    assert all(found)
    assert said.text


def test_configs_hold_the_address_and_no_token(remote, monkeypatch):
    monkeypatch.setenv("S3_RETRIEVER_TOKEN", TOKEN)
    for made in (
        EndogenousRetriever(**remote, k=2, mode="fast"),
        EndogenousIndex(**remote),
        EndogenousLLM(**remote, max_tokens=3),
        EndogenousPostprocessor(**remote, k=2, mode="fast"),
    ):
        config = made.to_config()
        assert TOKEN not in str(config)
        assert type(made).from_config(config).to_config() == config


def test_what_cannot_be_is_said_without_a_token(remote, server):
    client = Client(**remote)
    with pytest.raises(ValidationError, match="engine must be an Engine or a Client"):
        EndogenousPostprocessor(engine="engine")
    with pytest.raises(ValidationError) as refused:
        EndogenousPostprocessor(**remote, max_tokens="many")
    assert TOKEN not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(InputError, match="either an engine or a server's url"):
        EndogenousRetriever(client, url=client.url)
    with pytest.raises(ValidationError) as refused:
        EndogenousLLM(**remote, max_tokens="many")
    assert TOKEN not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(EndogenousError, match="401"):
        EndogenousRetriever(url=server.url, token="wrong-0123456789abcdef").retrieve("Why?")
