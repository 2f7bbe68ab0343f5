"""A URL in place of a path is all that changes."""

from __future__ import annotations

import json

import pytest
from langchain_core.documents import Document
from langchain_endogenous import EndogenousRetriever, EndogenousVectorStore
from llama_index.core.schema import Document as Node
from llama_index.retrievers.endogenous import EndogenousIndex

from s3_retriever import Engine
from s3_retriever.errors import IndexStorageError
from tests.integrations.samples import PROFILE, TEXTS
from tests.postgres import Server

QUESTION = "Who built the lighthouse?"


@pytest.fixture
def url(postgres: Server, request: pytest.FixtureRequest) -> str:
    place = postgres.url(schema=request.node.name.replace("test_", "with_")[:30])
    return place.replace("postgres@", "postgres:hush-hush@")


def test_langchain(engine: Engine, url: str) -> None:
    documents = [Document(text, id=name, metadata={"kind": name}) for name, text in TEXTS.items()]
    store = EndogenousVectorStore.from_documents(documents, path=url, profile=PROFILE)
    (best,) = store.similarity_search(QUESTION, k=1)
    assert best.id == "lighthouse"
    retriever = EndogenousRetriever(engine=Engine(engine.llm, engine.profile, url), k=1)
    assert retriever.invoke(QUESTION)[0].metadata["kind"] == "lighthouse"
    config = json.dumps(retriever.engine.to_config())
    assert "hush" not in config
    assert json.loads(config)["path"].startswith("postgresql://postgres@/")


def test_llama_index(engine: Engine, url: str) -> None:
    index = EndogenousIndex(Engine(engine.llm, engine.profile, url))
    for name, text in TEXTS.items():
        index.insert(Node(text=text, id_=name))
    index.storage_context.persist()  # as tutorials do; a database has it already
    again = EndogenousIndex(Engine(engine.llm, engine.profile, url))
    assert set(again.ref_doc_info) == set(TEXTS)
    assert again.as_retriever(k=1).retrieve(QUESTION)[0].node.ref_doc_id == "lighthouse"
    again.delete_ref_doc("lighthouse")
    assert "lighthouse" not in index.ref_doc_info
    with pytest.raises(IndexStorageError, match="database"):
        index.persist("folder")
