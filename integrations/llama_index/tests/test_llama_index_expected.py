"""What people expect of an index in LlamaIndex: it works, or says what to use instead."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, load_index_from_storage
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage import StorageContext
from llama_index.retrievers.endogenous import EndogenousIndex, EndogenousLLM
from pydantic import BaseModel

from s3_retriever.client import Client
from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from tests.integrations.samples import TOKEN, needs_profile

pytestmark = needs_profile

DOCUMENTS = [
    Document(text="The tower was built in 1990. It is new. " * 5, id_="tower"),
    Document(text="The owl is grey.", id_="owl"),
]


class Year(BaseModel):
    year: int


@pytest.fixture(params=["here", "there"])
def index(request, engine, server, namespace):
    if request.param == "here":
        return EndogenousIndex(Engine(engine.llm, engine.profile))
    return EndogenousIndex(Client(server.url, token=TOKEN, namespace=namespace))


def test_nodes_of_a_pipeline(index):
    splitter = SentenceSplitter(chunk_size=40, chunk_overlap=0)
    nodes = IngestionPipeline(transformations=[splitter]).run(documents=DOCUMENTS)
    index.insert_nodes(nodes)
    assert set(index.ref_doc_info) == {"tower", "owl"}
    assert len(index.docstore.docs) == len(nodes) > 2


def test_a_pipeline_that_knows_what_is_there(index):
    pipeline = IngestionPipeline(
        transformations=[],
        docstore=index.docstore,
        docstore_strategy=DocstoreStrategy.DUPLICATES_ONLY,
    )
    assert len(pipeline.run(documents=DOCUMENTS)) == 2
    assert pipeline.run(documents=DOCUMENTS) == []
    assert len(pipeline.run(documents=[Document(text="The owl is brown.", id_="owl")])) == 1
    assert index.docstore.get_document("owl").get_content() == "The owl is brown."


def test_another_index_is_not_loaded_in_its_place(engine):
    index = EndogenousIndex(Engine(engine.llm, engine.profile))
    with pytest.raises(ValueError, match="No index in storage context"):
        load_index_from_storage(index.storage_context)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"storage_context": StorageContext.from_defaults()}, "path='...' opens or creates"),
        ({"transformations": []}, "IngestionPipeline"),
        ({"nodes": []}, "insert_nodes"),
    ],
)
def test_arguments_of_other_indices_are_refused_with_advice(engine, arguments, advice):
    with pytest.raises(InputError, match=advice):
        EndogenousIndex(engine, **arguments)
    with pytest.raises(InputError, match=advice):
        EndogenousIndex.from_documents(DOCUMENTS, **arguments)
    with pytest.raises(TypeError, match="unexpected argument colour"):
        EndogenousIndex(engine, colour="red")


def test_objects_as_answers_need_another_model(engine):
    index = EndogenousIndex(engine)
    for make in (index.as_query_engine, index.as_chat_engine):
        with pytest.raises(InputError, match="output_cls is not supported"):
            make(output_cls=Year)


def test_what_the_model_does_not_do(engine):
    llm = EndogenousLLM(llm=engine.llm, max_tokens=2)
    for options, advice in (
        ({"response_format": {"type": "json_object"}}, "output parser"),
        ({"tools": [{}]}, "calls no tools"),
        ({"top_k": 3}, "takes max_tokens"),
    ):
        with pytest.raises(InputError, match=advice):
            llm.complete("Hi", **options)
    greedy = llm.complete("Name a colour.").text
    assert llm.complete("Name a colour.", temperature=1.0, top_p=1e-9).text == greedy
    nearly = EndogenousLLM(llm=engine.llm, max_tokens=2, temperature=1.0, top_p=1e-9)
    assert nearly.complete("Name a colour.").text == greedy
    assert EndogenousLLM.from_config(nearly.to_config(), llm=engine.llm).top_p == 1e-9
