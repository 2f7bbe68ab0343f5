"""What people expect of a store beside searching, here and over a server."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_endogenous import EndogenousRetriever, EndogenousVectorStore

from s3_retriever.client import Client
from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from tests.integrations.samples import PROFILE, TOKEN, needs_profile

pytestmark = needs_profile

ANIMALS = {
    "fox": ("The fox is red.", {"legs": 4, "kind": "mammal"}),
    "owl": ("The owl is grey.", {"legs": 2, "kind": "bird"}),
    "hen": ("The hen is brown.", {"legs": 2, "kind": "bird"}),
}


@pytest.fixture(params=["here", "there"])
def store(request, engine, server, namespace):
    if request.param == "here":
        store = EndogenousVectorStore(Engine(engine.llm, engine.profile), mode="bm25")
    else:
        where = {"url": server.url, "token": TOKEN, "collection_name": namespace}
        store = EndogenousVectorStore(**where, mode="bm25")
    texts, metadatas = zip(*ANIMALS.values(), strict=True)
    store.add_texts(texts, list(metadatas), ids=list(ANIMALS))
    return store


def test_get(store):
    everything = {
        "ids": list(ANIMALS),
        "documents": [text for text, _ in ANIMALS.values()],
        "metadatas": [metadata for _, metadata in ANIMALS.values()],
    }
    assert store.get() == everything == asyncio.run(store.aget())
    for arguments, ids in (
        ({"ids": "owl"}, ["owl"]),
        ({"ids": ["hen", "nobody", "fox", "hen"]}, ["hen", "fox"]),
        ({"ids": []}, []),
        ({"where": {"legs": 2}}, ["owl", "hen"]),
        ({"where": {}}, ["fox", "owl", "hen"]),
        ({"ids": ["hen", "fox"], "where": {"legs": 2}}, ["hen"]),
        ({"limit": 2}, ["fox", "owl"]),
        ({"limit": 2, "offset": 2}, ["hen"]),
        ({"offset": 1, "where": {"kind": "bird"}}, ["hen"]),
        ({"offset": 7}, []),
    ):
        assert store.get(**arguments)["ids"] == ids, arguments
    bare = store.get(limit=1, include=["metadatas"])
    assert bare == {"ids": ["fox"], "documents": None, "metadatas": [ANIMALS["fox"][1]]}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"limit": 0}, "limit must be at least 1"),
        ({"offset": -1}, "offset must be a whole number from 0"),
        ({"where": "legs"}, "where must be a mapping"),
        ({"include": ["embeddings"]}, "there are no embeddings"),
        ({"ids": 5}, "ids must be a list"),
    ],
)
def test_get_refuses(store, arguments, reason):
    with pytest.raises(InputError, match=reason):
        store.get(**arguments)


def test_count(store):
    assert (store.count(), store.count({"legs": 2}), store.count({"legs": 6})) == (3, 2, 0)
    assert asyncio.run(store.acount({"kind": "mammal"})) == 1
    with pytest.raises(InputError):
        store.count({"legs": {"$near": 2}})


def test_update(store):
    store.update_document("fox", Document("The fox is white.", metadata={"legs": 4}, id="other"))
    assert store.get("fox")["documents"] == ["The fox is white."]
    new = [Document("The owl is white."), Document("The hen is white.")]
    asyncio.run(store.aupdate_documents(["owl", "hen"], new))
    assert [d.page_content for d in store.get_by_ids(["owl", "hen"])] == [
        d.page_content for d in new
    ]
    asyncio.run(store.aupdate_document("hen", Document("A hen.")))
    store.update_documents(["owl"], [Document("An owl.")])
    assert store.get(["owl", "hen"])["documents"] == ["An owl.", "A hen."]
    for ids, documents in (
        (["fox", "cow"], [Document("a"), Document("b")]),
        (["fox"], [Document("a"), Document("b")]),
        (["fox"], [Document(" ")]),
    ):
        with pytest.raises(InputError):
            store.update_documents(ids, documents)
    assert store.get("fox")["documents"] == ["The fox is white."]
    assert store.count() == 3


def test_delete(store):
    assert store.delete(filter={"kind": "mammal"}) is True
    assert store.get()["ids"] == ["owl", "hen"]
    assert asyncio.run(store.adelete(where={"kind": "mammal"})) is True
    for arguments in (
        {},
        {"ids": ["owl"], "filter": {"legs": 2}},
        {"filter": {}},
        {"filter": {"legs": 2}, "where": {"legs": 2}},
        {"filter": {"legs": {"$near": 2}}},
    ):
        with pytest.raises(InputError):
            store.delete(**arguments)
    with pytest.raises(TypeError, match="collection_only"):
        store.delete(["owl"], collection_only=True)
    retriever = EndogenousRetriever(engine=store.engine)
    deleted = retriever.delete(filter={"legs": 2})
    assert (deleted["succeeded"], deleted["num_deleted"]) == (["owl", "hen"], 2)
    assert store.count() == 0


def test_delete_collection(store):
    store.delete_collection()
    assert store.count() == 0
    asyncio.run(store.adelete_collection())
    assert store.add_texts(["A bee."], ids=["bee"]) == ["bee"]


@pytest.mark.parametrize(
    "search",
    [
        lambda s: s.similarity_search_by_vector([0.5]),
        lambda s: asyncio.run(s.asimilarity_search_by_vector([0.5])),
        lambda s: s.max_marginal_relevance_search_by_vector([0.5]),
        lambda s: asyncio.run(s.amax_marginal_relevance_search_by_vector([0.5])),
    ],
)
def test_vectors_are_refused_with_a_reason(engine, search):
    with pytest.raises(InputError, match=r"no vectors here.*similarity_search"):
        search(EndogenousVectorStore(engine))


class TestChromasNames:
    def test_a_directory_and_collections_in_it(self, tmp_path):
        folder = tmp_path / "index"
        where = {"persist_directory": folder, "collection_name": "birds"}
        made = EndogenousVectorStore.from_texts(["An owl."], ids=["owl"], **where)
        with pytest.warns(UserWarning, match="DeterministicFakeEmbedding is not used"):
            again = EndogenousVectorStore(
                **where, embedding_function=DeterministicFakeEmbedding(size=4)
            )
        assert again.get() == made.get()
        assert again.get()["ids"] == ["owl"]
        assert EndogenousVectorStore.from_config(again.to_config()).get() == made.get()
        whole = EndogenousVectorStore.from_profile(PROFILE, persist_directory=folder)
        assert (whole.count(), whole.engine.namespaces()) == (0, ["birds"])

    def test_what_is_said_twice_is_refused(self, engine, server):
        url = {"url": server.url, "token": TOKEN}
        for arguments in (
            {"engine": engine, "persist_directory": "x"},
            {**url, "persist_directory": "x"},
            {**url, "namespace": "a", "collection_name": "b"},
            {"engine": Client(server.url, token=TOKEN), "collection_name": "b"},
            {"engine": engine, "collection_name": "No name!"},
            {"collection_name": "b"},
        ):
            with pytest.raises(InputError):
                EndogenousVectorStore(**arguments)
        with pytest.raises(InputError, match="another name of path"):
            EndogenousVectorStore.from_texts(["x"], path="a", persist_directory="b")

    def test_a_collection_of_an_engine(self, engine):
        store = EndogenousVectorStore(Engine(engine.llm, engine.profile), collection_name="birds")
        store.add_texts(["An owl."], ids=["owl"])
        assert "owl" in store.engine
        assert repr(store).startswith(
            "EndogenousVectorStore(Engine(profile='smollm2-135m-instruct'"
        )
