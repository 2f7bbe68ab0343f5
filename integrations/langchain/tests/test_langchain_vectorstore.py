"""The vector store and the compressor, on the real model."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_endogenous import EndogenousCompressor, EndogenousVectorStore

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from tests.integrations.samples import METADATA, PROFILE, QUESTIONS, TEXTS, needs_profile

pytestmark = needs_profile

WHOLE = {name: Document(text, id=name, metadata=METADATA[name]) for name, text in TEXTS.items()}


@pytest.fixture
def store(engine):
    return EndogenousVectorStore(engine)


@pytest.fixture
def empty(engine):
    return EndogenousVectorStore(Engine(engine.llm, engine.profile))


@pytest.mark.parametrize(("question", "best"), zip(QUESTIONS, TEXTS, strict=True))
def test_whole_documents_as_they_were_added(store, question, best):
    found = store.similarity_search(question, k=2)
    assert found[0] == WHOLE[best]
    assert len(found) == 2
    assert asyncio.run(store.asimilarity_search(question, k=2)) == found


def test_scores_order_and_lie_between_0_and_1(store):
    for search in (
        store.similarity_search_with_score,
        store.similarity_search_with_relevance_scores,
    ):
        found = search(QUESTIONS[0], k=3)
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
        assert 0.5 < scores[0] <= 1
        assert min(scores) >= 0
    high = store.similarity_search_with_relevance_scores(QUESTIONS[0], k=3, score_threshold=0.5)
    assert [d.id for d, _ in high] == ["lighthouse"]


def test_relevance_counts_the_passages_leg(engine):
    """Where it weighs most, a divisor without it would cut several scores off at 1."""
    fusion = engine.retrieve_settings.fusion
    heavy = fusion.model_copy(update={"weights": {**fusion.weights, "passages": 50.0}})
    settings = engine.retrieve_settings.model_copy(update={"fusion": heavy})
    store = EndogenousVectorStore(engine, spans=True, mode="fast")
    spans = engine.retrieve(QUESTIONS[0], max_tokens=None, k=5, mode="fast", settings=settings)
    found = store.similarity_search_with_score(QUESTIONS[0], k=5, settings=settings)
    assert spans[0].scores["passages"] > 0
    assert spans[0].score > spans[1].score
    assert [s / found[0][1] for _, s in found] == pytest.approx(
        [span.score / spans[0].score for span in spans]
    )


@pytest.mark.parametrize("mode", ["hybrid", "fast"])
def test_relevance_counts_every_leg_of_the_mode(engine, mode):
    """1 is text that each leg finds best: nothing is cut off there, and what differs stays so."""
    store = EndogenousVectorStore(engine, spans=True, mode=mode)
    for question in QUESTIONS:
        spans = engine.retrieve(question, max_tokens=None, k=5, mode=mode)
        found = store.similarity_search_with_score(question, k=5)
        highest = engine.highest_score(mode)
        assert [s for _, s in found] == pytest.approx([s.score / highest for s in spans])
        assert spans[0].score <= highest
        assert len({s for _, s in found}) == len({s.score for s in spans})


def test_as_many_as_asked_for_while_the_filter_allows(store):
    assert {d.id for d in store.similarity_search("zzz", k=3)} == set(TEXTS)
    assert len(store.similarity_search("zzz", k=9)) == 3
    (only,) = store.similarity_search(QUESTIONS[0], k=3, filter={"topic": "food"})
    assert only.id == "bakery"
    assert store.similarity_search(QUESTIONS[0], filter={"topic": "chess"}) == []


def test_a_text_is_nearest_to_itself(store):
    for name, text in TEXTS.items():
        ((found, score),) = store.similarity_search_with_score(text, k=1)
        assert (found.id, score) == (name, 1.0)


def test_spans(engine):
    store = EndogenousVectorStore(engine, spans=True)
    (best,) = store.similarity_search(QUESTIONS[0], k=1)
    m = best.metadata
    assert TEXTS[m["span_doc_id"]][m["span_start"] : m["span_end"]] == best.page_content
    assert "Maren Holt" in best.page_content
    assert all(0 <= s <= 1 for _, s in store.similarity_search_with_score(QUESTIONS[0], k=5))
    spread = store.max_marginal_relevance_search(QUESTIONS[0], k=3)
    assert spread[0] == best


def test_marginal_relevance_leaves_twins_out(empty):
    empty.add_texts(
        [TEXTS["lighthouse"], TEXTS["lighthouse"], TEXTS["bakery"]], ids=["one", "two", "other"]
    )
    question = QUESTIONS[0]
    assert {d.id for d in empty.similarity_search(question, k=2)} == {"one", "two"}
    assert {d.id for d in empty.max_marginal_relevance_search(question, k=2)} > {"other"}
    alone = empty.max_marginal_relevance_search(question, k=2, lambda_mult=1.0)
    assert {d.id for d in alone} == {"one", "two"}
    again = asyncio.run(empty.amax_marginal_relevance_search(question, k=2))
    assert "other" in {d.id for d in again}


def test_as_a_retriever(store):
    for search_type in ("similarity", "mmr"):
        retriever = store.as_retriever(search_type=search_type, search_kwargs={"k": 1})
        assert [d.id for d in retriever.invoke(QUESTIONS[2])] == ["museum"]
    sure = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5}
    )
    assert [d.id for d in sure.invoke(QUESTIONS[2])] == ["museum"]
    narrow = store.as_retriever(search_kwargs={"filter": {"year": {"$lt": 1900}}})
    assert [d.id for d in asyncio.run(narrow.ainvoke(QUESTIONS[2]))] == ["lighthouse"]


def test_two_lines_start_it_and_an_embedding_is_ignored_with_one_warning():
    documents = [Document(text, metadata={"source": name}) for name, text in TEXTS.items()]
    with pytest.warns(UserWarning, match="DeterministicFakeEmbedding is not used") as warned:
        store = EndogenousVectorStore.from_documents(
            documents, DeterministicFakeEmbedding(size=8), profile=PROFILE
        )
    assert len([w for w in warned if "is not used" in str(w.message)]) == 1
    assert store.embeddings is None
    best = store.similarity_search(QUESTIONS[1], k=1)[0]
    assert best.metadata == {"source": "bakery"}
    assert store.get_by_ids([best.id]) == [best]
    assert documents[0].id is None


def test_from_texts_on_disk_and_configuration(tmp_path):
    store = asyncio.run(
        EndogenousVectorStore.afrom_texts(
            list(TEXTS.values()),
            metadatas=[METADATA[name] for name in TEXTS],
            ids=list(TEXTS),
            path=tmp_path / "index",
            spans=True,
            mode="fast",
        )
    )
    config = json.loads(json.dumps(store.to_config()))
    again = EndogenousVectorStore.from_config(config)
    assert again.to_config() == config
    assert again.similarity_search(QUESTIONS[0]) == store.similarity_search(QUESTIONS[0])


def test_indexing_with_a_record_manager(empty):
    records = InMemoryRecordManager("test")
    documents = [Document(t, metadata={"source": n}) for n, t in TEXTS.items()]
    options = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert index(documents, records, empty, **options)["num_added"] == 3
    assert index(documents[:2], records, empty, **options)["num_deleted"] == 1
    assert len(empty.engine) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"query": " "}, InputError, "empty"),
        ({"query": "x", "k": 0}, ValueError, "k must"),
        ({"query": "x", "mode": "dense"}, InputError, "mode"),
        ({"query": "x", "top_k": 3}, TypeError, "top_k"),
        ({"query": "x", "filter": {"year": {"$near": 3}}}, InputError, r"\$near"),
    ],
)
def test_what_it_cannot_do_is_refused(store, arguments, error, reason):
    with pytest.raises(error, match=reason):
        store.similarity_search(**arguments)


def test_ids_are_as_many_as_documents(empty):
    with pytest.raises(ValueError, match="1 texts and 2 ids"):
        empty.add_documents([Document("x")], ids=["a", "b"])
    with pytest.raises(ValueError, match="ids"):
        empty.delete()


class TestCompressor:
    @pytest.fixture
    def compressor(self, engine):
        return EndogenousCompressor(engine=engine, max_tokens=40)

    def test_cuts_documents_to_spans(self, compressor, engine):
        before = engine.ids()
        documents = [*WHOLE.values(), Document(" ")]
        found = compressor.compress_documents(documents, QUESTIONS[1])
        assert "14 hours" in found[0].page_content
        assert sum(engine.llm.count_tokens(d.page_content) for d in found) <= 40
        for document in found:
            m = document.metadata
            assert TEXTS[m["span_doc_id"]][m["span_start"] : m["span_end"]] == document.page_content
            assert m["topic"] == METADATA[m["span_doc_id"]]["topic"]
        assert asyncio.run(compressor.acompress_documents(documents, QUESTIONS[1])) == found
        assert engine.ids() == before

    def test_other_stores_metadata_are_no_hindrance(self, compressor):
        """Such as MongoDB's object ids, which JSON does not know."""
        key = object()
        document = Document(TEXTS["bakery"], metadata={"_id": key}, id="bakery")
        found = compressor.compress_documents([document], QUESTIONS[1])
        assert "14 hours" in found[0].page_content
        assert found[0].metadata["_id"] is key

    def test_nothing_in_nothing_out(self, compressor):
        assert compressor.compress_documents([], QUESTIONS[0]) == []
        assert compressor.compress_documents([Document(" ")], QUESTIONS[0]) == []

    def test_configuration(self, compressor, engine):
        config = json.loads(json.dumps(compressor.to_config()))
        assert config["max_tokens"] == 40
        again = EndogenousCompressor.from_config(config, engine=engine)
        assert again.to_config() == config
