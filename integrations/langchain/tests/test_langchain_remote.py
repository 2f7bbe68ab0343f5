"""LangChain's components over a server that runs: what they find is what they find here."""

from __future__ import annotations

import asyncio
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_endogenous import (
    ChatEndogenous,
    EndogenousCompressor,
    EndogenousRetriever,
    EndogenousVectorStore,
)
from pydantic import ValidationError

from s3_retriever.client import Client
from s3_retriever.errors import EndogenousError, InputError, ServerError
from tests.integrations.samples import QUESTIONS, TEXTS, TOKEN, needs_profile

pytestmark = needs_profile


@pytest.fixture
def remote(server):
    return {"url": server.url, "token": TOKEN}


def shown(documents):
    return [(d.id, d.page_content, d.metadata) for d in documents]


def test_the_retriever_finds_what_it_finds_here(engine, remote):
    asked = {"mode": "fast", "k": 3, "filter": {"year": {"$gte": 1900}}}
    here, there = (
        EndogenousRetriever(engine=engine, **asked),
        EndogenousRetriever(**remote, **asked),
    )
    for question in QUESTIONS:
        expected = shown(here.invoke(question))
        assert shown(there.invoke(question)) == expected
        assert shown(asyncio.run(there.ainvoke({"question": question}))) == expected
    assert there.batch(QUESTIONS, k=1) == here.batch(QUESTIONS, k=1)
    assert asyncio.run(there.abatch(QUESTIONS, k=1)) == here.batch(QUESTIONS, k=1)


@pytest.mark.parametrize("spans", [False, True])
def test_the_store_finds_what_it_finds_here(engine, remote, spans):
    here = EndogenousVectorStore(engine, spans=spans, mode="fast")
    there = EndogenousVectorStore(**remote, spans=spans, mode="fast")
    queries = [QUESTIONS[0], TEXTS["museum"], "It stands 31 metres above the sea."]
    for query in queries:
        expected = here.similarity_search_with_score(query, k=3)
        found = there.similarity_search_with_score(query, k=3)
        assert shown(d for d, _ in found) == shown(d for d, _ in expected)
        assert [score for _, score in found] == [score for _, score in expected]
        assert asyncio.run(there.asimilarity_search_with_score(query, k=3)) == found
    for search in (
        lambda store: store.max_marginal_relevance_search(QUESTIONS[1], k=2),
        lambda store: asyncio.run(store.amax_marginal_relevance_search(QUESTIONS[1], k=2)),
        lambda store: asyncio.run(store.asimilarity_search(QUESTIONS[1], 1, {"topic": "sea"})),
    ):
        assert shown(search(there)) == shown(search(here))


def test_of_a_text_that_is_too_long_the_beginning_is_asked(remote):
    store = EndogenousVectorStore(**remote, mode="fast")
    text = QUESTIONS[0] + " Nobody knows." * 40_000
    assert store.similarity_search(text, k=1)[0].id == "lighthouse"
    assert asyncio.run(store.asimilarity_search(text, k=1))[0].id == "lighthouse"


def test_documents_go_there_and_come_back(remote, namespace):
    texts, metadatas = ["The fox is red.", " "], [{"n": 1}, {"n": 2}]
    store = EndogenousVectorStore.from_texts(
        texts, None, metadatas, ids=["fox", "blank"], **remote, namespace=namespace, mode="fast"
    )
    assert [d.id for d in store.similarity_search("What is red?")] == ["fox"]

    async def work():
        added = await store.aadd_texts(["The owl is grey."], ids=["owl"])
        await store.aadd_documents([Document("The mole is black.", id="mole")])
        there = await store.aget_by_ids(["owl", "mole", "nobody"])
        await store.adelete(["mole", "owl:0-16", "nobody"])
        return added, there, await store.aget_by_ids(["fox", "owl", "mole"])

    added, there, left = asyncio.run(work())
    assert (list(added), added.skipped) == (["owl"], {})
    assert [d.id for d in there] == ["owl", "mole"]
    assert [d.id for d in left] == ["fox"]
    retriever = EndogenousRetriever.from_documents(left, **remote, namespace=f"{namespace}-b")
    assert retriever.get(["fox"]) == left
    assert asyncio.run(retriever.aadd_documents([Document("A hen.", id="hen")])) == ["hen"]
    assert retriever.delete(["hen", "nobody"])["num_deleted"] == 1


@pytest.mark.parametrize("budget", [{"max_tokens": 24}, {"max_tokens": None, "k": 2}])
def test_the_compressor_cuts_as_it_cuts_here(engine, remote, budget):
    here = EndogenousCompressor(engine=engine, mode="fast", **budget)
    there = EndogenousCompressor(**remote, mode="fast", **budget)
    given = [Document(text, id="same", metadata={"of": name}) for name, text in TEXTS.items()]
    given.append(Document(" "))
    expected = shown(here.compress_documents(given, QUESTIONS[1]))
    assert expected
    assert shown(there.compress_documents(given, QUESTIONS[1])) == expected
    assert shown(asyncio.run(there.acompress_documents(given, QUESTIONS[1]))) == expected
    assert there.compress_documents([], QUESTIONS[0]) == []
    assert there.compress_documents([Document(" ")], QUESTIONS[0]) == []


def test_the_chat_model_says_what_it_says_here(engine, remote):
    question = "What is the capital of France?"
    here, there = (
        ChatEndogenous(llm=engine.llm, max_tokens=16),
        ChatEndogenous(**remote, max_tokens=16),
    )
    expected = here.invoke(question)
    found = there.invoke(question)
    assert (found.content, found.usage_metadata) == (expected.content, expected.usage_metadata)
    assert found.response_metadata == expected.response_metadata
    assert there.model_name == here.model_name

    async def awaited():
        whole = await there.ainvoke(question, stop=[" is"])
        pieces = [piece async for piece in there.astream(question)]
        return whole, pieces

    cut, pieces = asyncio.run(awaited())
    assert cut.content == "The capital of France"
    assert "".join(p.content for p in pieces) == expected.content
    assert len(pieces) > 3
    text = "Hello 👩🏽‍🚀, <|im_end|>"
    assert there.get_token_ids(text) == here.get_token_ids(text)
    assert there.get_num_tokens(text) == here.get_num_tokens(text)
    counting = ChatEndogenous(**remote, custom_get_token_ids=lambda text: list(text.encode()))
    assert counting.get_num_tokens("Hello") == 5


def test_a_chain_needs_one_loop_and_no_thread(remote):
    class Refusing(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            raise AssertionError("a thread was asked for")

    retriever = EndogenousRetriever(**remote, mode="fast", k=1)
    store = EndogenousVectorStore(**remote, mode="fast")
    chat = ChatEndogenous(**remote, max_tokens=4)
    compressor = EndogenousCompressor(**remote, mode="fast", k=1)

    async def answer(question):
        found = await retriever.ainvoke(question)
        found = await compressor.acompress_documents(found, question)
        like = await store.asimilarity_search(question, k=1)
        said = await chat.ainvoke(f"{found[0].page_content} {question}")
        return found, like, said

    async def work():
        asyncio.get_running_loop().set_default_executor(Refusing(1))
        searches = [retriever.ainvoke(f"{QUESTIONS[n % 3]} {n}") for n in range(20)]
        return await asyncio.gather(*searches), await answer(QUESTIONS[0])

    many, (found, like, said) = asyncio.run(work())
    assert all(many)
    assert like[0].id == "lighthouse"
    assert found[0].page_content in TEXTS["lighthouse"]
    assert said.content


def test_a_chain_of_runnables_over_a_server(remote):
    retriever = EndogenousRetriever(**remote, mode="fast", k=1)
    chain = retriever | RunnableLambda(lambda found: found[0].page_content) | retriever.llm
    assert chain.invoke(QUESTIONS[0], max_tokens=3).content


def test_configs_hold_the_address_and_no_token(remote, monkeypatch):
    monkeypatch.setenv("S3_RETRIEVER_TOKEN", TOKEN)
    for made in (
        EndogenousRetriever(**remote, k=2, mode="fast"),
        EndogenousVectorStore(**remote, mode="fast"),
        ChatEndogenous(**remote, max_tokens=3),
        EndogenousCompressor(**remote, k=2, mode="fast"),
    ):
        config = made.to_config()
        assert TOKEN not in str(config)
        again = type(made).from_config(config)
        assert again.to_config() == config
        if isinstance(made, EndogenousRetriever):
            assert again.invoke(QUESTIONS[0]) == made.invoke(QUESTIONS[0])


def test_what_a_server_cannot_do_is_said(engine, remote, namespace):
    client = Client(**remote)
    retriever = EndogenousRetriever(engine=client, mode="best")
    with pytest.raises(InputError, match="mode must be one of"):
        retriever.invoke(QUESTIONS[0])
    with pytest.raises(InputError, match="settings of single stages"):
        EndogenousVectorStore(client).similarity_search("?", settings=engine.retrieve_settings)
    with pytest.raises(InputError, match="mode must be one of"):
        EndogenousCompressor(engine=client, mode="best").compress_documents([Document("A.")], "?")
    with pytest.raises(ValidationError, match="engine must be an Engine or a Client"):
        EndogenousCompressor(engine="engine")
    with pytest.raises(InputError, match="either a path or a url"):
        EndogenousVectorStore.from_texts(["A."], path="x", **remote)
    with pytest.raises(InputError, match="either an engine or a server's url"):
        EndogenousVectorStore(client, url=client.url)
    with pytest.raises(InputError, match="either an engine or a server's url"):
        EndogenousVectorStore()
    with pytest.raises(InputError, match="belong to a url"):
        EndogenousVectorStore(client, token="x")


@pytest.mark.parametrize("make", [EndogenousRetriever, ChatEndogenous, EndogenousCompressor])
@pytest.mark.parametrize("wrong", [{"url": "nowhere"}, {"mode": 5, "max_tokens": "many"}])
def test_no_error_repeats_a_token(remote, make, wrong):
    with pytest.raises(ValidationError) as refused:
        make(**{**remote, **wrong})
    assert TOKEN not in "".join(traceback.format_exception(refused.value))


def test_trouble_is_an_error_of_ours(server):
    retriever = EndogenousRetriever(url=server.url, token="wrong-0123456789abcdef")
    with pytest.raises(ServerError, match="401"):
        retriever.invoke(QUESTIONS[0])
    chat = ChatEndogenous(url=server.url, token="wrong-0123456789abcdef")
    with pytest.raises(EndogenousError, match="401"):
        asyncio.run(chat.ainvoke("Hi"))
