"""The LangChain retriever, on the real model."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langchain_core")

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_endogenous import EndogenousRetriever
from langchain_endogenous.documents import document_id, from_span
from pydantic import ValidationError

import s3_retriever
from s3_retriever.errors import InputError
from s3_retriever.models.hooks import read_projections
from s3_retriever.types import Span
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
    return EndogenousRetriever(engine=engine)


def join(documents):
    return "\n".join(document.page_content for document in documents)


def rag_chain(retriever):
    prompt = ChatPromptTemplate.from_template("{context}\n\nAnswer briefly. {question}")
    return (
        {"context": retriever | join, "question": RunnablePassthrough()}
        | prompt
        | retriever.llm.bind(max_tokens=6)
        | StrOutputParser()
    )


def test_is_reached_from_the_main_package():
    assert s3_retriever.EndogenousRetriever is EndogenousRetriever


@pytest.mark.parametrize("mode", ["hybrid", "features", "bm25"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_documents_are_slices_of_the_added_texts(retriever, engine, question, mode):
    found = retriever.invoke(question, mode=mode)
    spans = engine.retrieve(question, max_tokens=512, mode=mode)
    assert found
    for rank, (document, span) in enumerate(zip(found, spans, strict=True)):
        m = document.metadata
        assert_exact(span, m["span_doc_id"], m["span_start"], m["span_end"], document.page_content)
        assert (
            document.id == m["span_id"] == f"{m['span_doc_id']}:{m['span_start']}-{m['span_end']}"
        )
        assert (m["span_rank"], m["span_score"], m["span_scores"]) == (
            rank,
            span.score,
            dict(span.scores),
        )
        assert m["span_score_kind"] == "sum of relative scores"
        assert m["topic"] == METADATA[m["span_doc_id"]]["topic"]


@pytest.mark.parametrize(
    ("question", "doc_id", "answer"),
    zip(QUESTIONS, TEXTS, ["Maren Holt", "14 hours", "nine euros"], strict=True),
)
def test_the_question_is_answered(retriever, question, doc_id, answer):
    found = retriever.invoke(question, k=3)
    assert found[0].metadata["span_doc_id"] == doc_id
    assert answer in join(found)


def test_a_documents_own_metadata_stay_as_they_are(retriever):
    best = retriever.invoke(QUESTIONS[2], filter={"topic": "trains"})[0]
    assert METADATA["museum"].items() <= best.metadata.items()
    assert "span_displaced" not in best.metadata


def test_metadata_of_the_same_name_are_kept_aside():
    span = Span("a", 0, 1, "x", 1.0, {}, 0, {"span_displaced": "mine", "span_rank": 3, "rank": 4})
    metadata = from_span(span).metadata
    assert metadata["span_displaced"] == {"span_displaced": "mine", "span_rank": 3}
    assert (metadata["span_rank"], metadata["rank"]) == (0, 4)


def test_overrides_per_call(retriever, engine):
    question = QUESTIONS[0]
    assert len(retriever.invoke(question)) > 2
    assert len(retriever.invoke(question, k=2)) == 2
    short = retriever.invoke(question, max_tokens=40)
    stuffed = "\n\n".join(d.page_content for d in short)  # as chains that stuff documents do
    assert 0 < engine.llm.count_tokens(stuffed) <= 40
    legs = {
        leg for d in retriever.invoke(question, mode="bm25") for leg in d.metadata["span_scores"]
    }
    assert legs == {"bm25"}
    published = retriever.invoke(question, mode="features", scoring="coactivation")
    spans = engine.retrieve(question, mode="features", scoring="coactivation")
    assert [d.id for d in published] == [s.id for s in spans]


def test_fields_are_the_defaults_of_a_call(engine):
    retriever = EndogenousRetriever(engine=engine, k=1, mode="bm25", filter={"topic": "food"})
    (only,) = retriever.invoke("lighthouse dough")
    assert only.metadata["span_doc_id"] == "bakery"
    assert len(retriever.invoke("lighthouse dough", k=None, filter=None)) > 1


def test_fields_can_be_made_configurable(retriever):
    configurable = retriever.configurable_fields(k=ConfigurableField("k"))
    assert len(configurable.invoke(QUESTIONS[0], {"configurable": {"k": 1}})) == 1


def test_filter(retriever):
    found = retriever.invoke(QUESTIONS[0], filter={"year": {"$gte": 1900}})
    assert found
    assert {d.metadata["span_doc_id"] for d in found} <= {"bakery", "museum"}
    assert retriever.invoke(QUESTIONS[0], filter={"topic": "chess"}) == []


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"max_tokens": 0}, {"mode": "dense"}, {"scoring": "cosine"}]
)
def test_wrong_values_are_refused(retriever, engine, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        retriever.invoke(QUESTIONS[0], **wrong)
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        EndogenousRetriever(engine=engine, **wrong)


def test_unknown_arguments_are_refused(retriever, engine):
    with pytest.raises(TypeError, match=r"top_k.*max_tokens"):
        retriever.invoke(QUESTIONS[0], top_k=3)
    with pytest.raises(ValidationError, match="top_k"):
        EndogenousRetriever(engine=engine, top_k=3)


def test_an_empty_question_is_refused(retriever):
    with pytest.raises(InputError):
        retriever.invoke("  ")


def ids(found):
    return [[document.id for document in documents] for documents in found]


def test_async_calls_agree_with_single_ones(retriever):
    alone = [retriever.invoke(question, k=3) for question in QUESTIONS]

    async def at_once():
        return await asyncio.gather(*(retriever.ainvoke(q, k=3) for q in QUESTIONS))

    assert asyncio.run(at_once()) == alone


@pytest.fixture
def forwards(monkeypatch):
    """The sizes of the batches in which texts were projected."""
    sizes = []

    def counting(model, layout, input_ids, *args, **kwargs):
        sizes.append(len(input_ids))
        return read_projections(model, layout, input_ids, *args, **kwargs)

    monkeypatch.setattr("s3_retriever.models.reading.read_projections", counting)
    return sizes


@pytest.mark.parametrize("mode", ["hybrid", "fast"])
def test_a_batch_is_projected_in_one_padded_forward(retriever, forwards, mode):
    alone = [retriever.invoke(question, k=3, mode=mode) for question in QUESTIONS]
    forwards.clear()
    together = retriever.batch(QUESTIONS, k=3, mode=mode)
    assert forwards == [len(QUESTIONS)]  # the question without content was read before, once
    assert ids(together) == ids(alone)
    assert [[d.metadata["span_score"] for d in found] for found in together] == [
        pytest.approx([d.metadata["span_score"] for d in found], rel=0.05) for found in alone
    ]
    forwards.clear()
    assert ids(asyncio.run(retriever.abatch(QUESTIONS, k=3, mode=mode))) == ids(alone)
    assert forwards == [len(QUESTIONS)]


def test_errors_in_a_batch_stay_with_their_question(retriever):
    good, bad = retriever.batch([QUESTIONS[0], " "], k=1, return_exceptions=True)
    assert good[0].metadata["span_doc_id"] == "lighthouse"
    assert isinstance(bad, InputError)
    with pytest.raises(InputError, match="empty"):
        retriever.batch([QUESTIONS[0], " "])
    assert retriever.batch([]) == []


def test_the_event_loop_is_free_while_a_question_is_answered(retriever):
    async def ticks_meanwhile():
        task = asyncio.create_task(retriever.ainvoke(QUESTIONS[0]))
        ticks = 0
        while not task.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    assert asyncio.run(ticks_meanwhile()) > 1


def test_chain(retriever):
    chain = rag_chain(retriever)
    question = "When was the lighthouse on Sandoy built?"
    answer = chain.invoke(question)
    assert answer.strip()
    assert "".join(chain.stream(question)) == answer
    assert asyncio.run(chain.ainvoke(question)) == answer
    assert chain.batch([question, question]) == [answer, answer]


def test_a_span_found_for_several_questions_is_one_document(retriever):
    """Chains like MultiQueryRetriever leave out a document that equals one before it."""
    questions = [QUESTIONS[0], "Which engineer built the Sandoy lighthouse?"]
    found = [d for documents in retriever.batch(questions, k=2) for d in documents]
    unique = [d for n, d in enumerate(found) if d not in found[:n]]
    ids = [d.metadata["span_id"] for d in found]
    assert len(unique) == len(set(ids)) < len(ids)
    assert unique[0] != Document(page_content="Another text.", id=ids[0])
    again = loads(dumps(found[0]), allowed_objects="core")
    assert type(again) is Document
    assert again == found[0]
    assert again.metadata == found[0].metadata


def test_a_chain_with_history(retriever):
    """The model writes the search query from what was said before."""
    prompt = ChatPromptTemplate.from_messages(
        [
            MessagesPlaceholder("history"),
            ("user", "{question}\nRepeat my last message word for word, and nothing else."),
        ]
    )
    chain = prompt | retriever.llm.bind(max_tokens=24) | StrOutputParser() | retriever
    history = [HumanMessage("I like the sea."), AIMessage("So do I.")]
    found = chain.invoke({"history": history, "question": QUESTIONS[0]})
    assert found[0].metadata["span_doc_id"] == "lighthouse"


def test_many_requests_at_once(retriever):
    """As a web server does: one event loop, a task each."""

    async def serve():
        return await asyncio.gather(*(retriever.ainvoke(q, k=1) for q in QUESTIONS * 4))

    found = asyncio.run(serve())
    assert [d[0].metadata["span_doc_id"] for d in found] == ["lighthouse", "bakery", "museum"] * 4


def test_retriever_and_chat_model_share_the_weights(retriever, engine):
    theirs = dict(engine.llm.model.named_parameters())
    for name, parameter in retriever.llm.llm.model.named_parameters():
        assert parameter.data_ptr() == theirs[name].data_ptr()


def test_serialising_leaves_the_engine_out(retriever):
    assert "engine" not in retriever.model_dump()
    assert retriever.model_dump()["max_tokens"] == 512
    assert "engine" not in repr(retriever)


def test_from_documents_and_adding_more(tmp_path):
    retriever = EndogenousRetriever.from_documents(
        [Document(TEXTS["bakery"], id="bakery", metadata={"topic": "food"})],
        tmp_path / "index",
        PROFILE,
        k=2,
    )
    assert retriever.k == 2
    sea = Document(TEXTS["lighthouse"], metadata={"source": "sea.txt"})
    empty = Document(" ", id="empty")
    (sea_id,) = retriever.add_documents([empty, sea])
    assert sea_id.startswith("sea.txt#")
    assert retriever.add_documents([sea]) == [sea_id]
    assert retriever.add_documents([]) == []
    assert retriever.engine.ids() == ["bakery", sea_id]
    best = retriever.invoke("Who built the lighthouse?", filter={"source": "sea.txt"})[0]
    assert best.id == f"{sea_id}:{best.metadata['span_start']}-{best.metadata['span_end']}"
    assert retriever.engine.get("bakery").metadata == {"topic": "food"}


def test_from_texts():
    retriever = EndogenousRetriever.from_texts(
        [TEXTS["bakery"], TEXTS["bakery"]], [{"tenant": 1}, {"tenant": 2}], profile=PROFILE
    )
    assert len(retriever.engine) == 2
    assert retriever.invoke(QUESTIONS[1], filter={"tenant": 2})[0].metadata["tenant"] == 2
    with pytest.raises(ValueError, match="2 texts and 1 ids"):
        EndogenousRetriever.from_texts(["a", "b"], ids=["only one"], profile=PROFILE)


def test_made_ids_tell_documents_apart_and_know_them_again():
    first = Document("Page one.", metadata={"source": "a.pdf", "page": 0})
    same = Document("Page one.", metadata={"page": 0, "source": "a.pdf"})
    other_page = Document("Page one.", metadata={"source": "a.pdf", "page": 1})
    other_text = Document("Page two.", metadata={"source": "a.pdf", "page": 0})
    assert document_id(first) == document_id(same)
    assert len({document_id(d) for d in (first, other_page, other_text)}) == 3


class Listener(BaseCallbackHandler):
    def __init__(self):
        self.started = []
        self.ended = []

    def on_retriever_start(self, serialized, query, *, tags=None, metadata=None, **kwargs):
        self.started.append((kwargs["name"], query, tags, metadata))

    def on_retriever_end(self, documents, **kwargs):
        self.ended.append(documents)


def test_callbacks_and_tracing(retriever):
    listener = Listener()
    configured = retriever.with_config(tags=["mine"], run_name="finding", callbacks=[listener])
    found = configured.invoke(QUESTIONS[0], k=1)
    ((name, question, tags, metadata),) = listener.started
    assert (name, question, tags) == ("finding", QUESTIONS[0], ["mine"])
    assert metadata["ls_retriever_name"] == "endogenous"
    assert metadata["ls_embedding_model"] == retriever.engine.llm.name
    assert listener.ended == [found]
    configured.batch(QUESTIONS, k=1)
    assert sorted(q for _, q, _, _ in listener.started[1:]) == sorted(QUESTIONS)


def test_as_a_tool(retriever):
    tool = create_retriever_tool(retriever, "archive", "Finds text.", document_separator=" | ")
    text = tool.invoke({"query": QUESTIONS[1]})
    assert text == " | ".join(d.page_content for d in retriever.invoke(QUESTIONS[1]))


def test_configurable_fields_in_a_batch(retriever):
    configurable = retriever.configurable_fields(
        k=ConfigurableField("k"), mode=ConfigurableField("mode")
    )
    found = configurable.batch(QUESTIONS, {"configurable": {"k": 1, "mode": "bm25"}})
    assert [len(documents) for documents in found] == [1, 1, 1]
    assert {leg for (d,) in found for leg in d.metadata["span_scores"]} == {"bm25"}
