"""The LangChain retriever as an index of documents, on the real model."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_endogenous import EndogenousRetriever

from s3_retriever.engine import Engine
from tests.integrations.samples import (
    METADATA,
    PROFILE,
    QUESTIONS,
    TEXTS,
    needs_profile,
)

pytestmark = needs_profile


@pytest.fixture
def retriever(engine):
    return EndogenousRetriever(engine=engine)


@pytest.fixture
def empty(engine):
    return EndogenousRetriever(engine=Engine(engine.llm, engine.profile))


def pages(*numbers, source="a.txt"):
    texts = {1: "Owls hunt at night.", 2: "Larks sing at dawn.", 3: "Storks fly to Africa."}
    return [Document(texts[n], metadata={"source": source}) for n in numbers]


@pytest.mark.parametrize("cleanup", [None, "incremental", "full", "scoped_full"])
def test_indexing_with_a_record_manager(empty, cleanup):
    records = InMemoryRecordManager("test")
    records.create_schema()

    def run(documents):
        done = index(
            documents,
            records,
            empty,
            cleanup=cleanup,
            source_id_key="source",
            key_encoder="sha256",
        )
        return done["num_added"], done["num_skipped"], done["num_deleted"]

    other = pages(3, source="b.txt")
    assert run([*pages(1, 2), *other]) == (3, 0, 0)
    assert run([*pages(1, 2), *other]) == (0, 3, 0)
    gone = {None: 0, "incremental": 1, "scoped_full": 1, "full": 2}[cleanup]
    assert run(pages(1)) == (0, 1, gone)
    left = {None: 3, "incremental": 2, "scoped_full": 2, "full": 1}[cleanup]
    assert len(empty.engine) == left
    assert empty.invoke("When do owls hunt?", k=1)[0].page_content == "Owls hunt at night."
    assert (
        asyncio.run(
            aindex(
                pages(1),
                records,
                empty,
                cleanup=cleanup,
                source_id_key="source",
                key_encoder="sha256",
            )
        )["num_skipped"]
        == 1
    )


def test_upsert_tells_what_is_left_out(empty):
    done = empty.upsert([Document("Owls hunt at night.", id="owls"), Document(" ", id="blank")])
    assert done == {"succeeded": ["owls"], "failed": ["blank"]}
    assert empty.upsert([Document("", id="blank")]) == {"succeeded": [], "failed": ["blank"]}
    assert [d.id for d in empty.get(["owls", "blank", "owls"])] == ["owls"]


def test_a_configuration_makes_the_same_retriever(retriever, tmp_path):
    made = EndogenousRetriever.from_profile(
        PROFILE, tmp_path / "index", k=2, filter={"topic": "food"}, max_tokens=None, tags=["t"]
    )
    made.add_documents([Document(TEXTS["bakery"], id="bakery", metadata=METADATA["bakery"])])
    config = json.loads(json.dumps(made.to_config()))
    again = EndogenousRetriever.from_config(config)
    assert again.to_config() == config
    assert again.invoke(QUESTIONS[1]) == made.invoke(QUESTIONS[1])
    shared = EndogenousRetriever.from_config(config, engine=retriever.engine)
    assert shared.engine is retriever.engine
    assert (shared.k, shared.max_tokens, shared.tags) == (2, None, ["t"])


def test_a_progress_bar_is_drawn_when_asked_for(empty, capsys):
    empty.add_documents(pages(1), show_progress=True)
    assert "reading: 100%" in capsys.readouterr().err
    empty.add_documents(pages(2))
    assert capsys.readouterr().err == ""
