"""Dense, hybrid and HyDE with the real all-MiniLM-L6-v2 of its wheel and the real SmolLM2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rank_bm25 import BM25Okapi
from s3_retriever_bench.methods import encoder
from s3_retriever_bench.methods.dense import Dense, DenseChunks
from s3_retriever_bench.methods.dense_bm25 import DenseBM25, DenseBM25Chunks
from s3_retriever_bench.methods.encoder import embedded, load_encoder
from s3_retriever_bench.methods.hyde import HyDE, HyDEChunks, hypothetical_passage
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.units import units, words
from s3_retriever_bench.sharing import stopwatch

from s3_retriever import Document, Engine
from s3_retriever.labels.collections import Collection, Place

pytestmark = pytest.mark.usefixtures("no_hub")

QUESTION = "Which keeper left after the lamp had been automated?"
KEEPER = "The last keeper, Agnes Tullis, left in 1973 after the light had been automated."
COLLECTION = Collection(
    (
        Document(
            "lighthouse",
            "The lighthouse on Skerry Point was finished in 1887. Its lamp burned whale oil until "
            f"1911, when it was converted to paraffin. {KEEPER} Today a small weather station "
            "is there.",
        ),
        Document(
            "bread",
            "Sourdough needs no bought yeast. Flour and water are left to ferment for about a "
            "week. Bakers keep part of it as a starter for the next loaf.",
        ),
    ),
    (),
)


def by_cosine(vectors: np.ndarray, vector: np.ndarray, places: list[Place]) -> list[Place]:
    return [
        places[n] for n in sorted(range(len(places)), key=lambda n: -float(vectors[n] @ vector))
    ]


def test_the_order_is_that_of_the_cosines(engine: Engine) -> None:
    dense = Dense(engine)
    assert dense.note == "all-MiniLM-L6-v2 (no hub gave BAAI/bge-small-en-v1.5), sentences"
    dense.read(COLLECTION)
    ranking = dense.rank(QUESTION)
    assert COLLECTION.text(ranking[0]) == KEEPER
    assert {place.doc_id for place in ranking[:2]} == {"lighthouse"}

    places = units(COLLECTION, "sentences", engine.llm)
    model = load_encoder(str(engine.llm.device))
    vectors = model.passages([COLLECTION.text(place) for place in places])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(places)), abs=1e-5)
    assert ranking == by_cosine(vectors, model.question(QUESTION), places)


def test_chunks(engine: Engine) -> None:
    dense = DenseChunks(engine)
    dense.read(COLLECTION)
    lengths = [len(document.text) for document in COLLECTION.documents]
    assert dense.rank(QUESTION) == [
        Place("lighthouse", 0, lengths[0]),
        Place("bread", 0, lengths[1]),
    ]
    assert dense.note.endswith("chunks of 256 tokens")


def test_methods_share_the_embeddings_of_a_collection(engine: Engine) -> None:
    shared = embedded(engine, "sentences")
    assert shared is embedded(engine, "sentences")
    assert shared is not embedded(engine, "chunks")
    fresh = Collection(COLLECTION.documents, ())
    with stopwatch() as first:
        Dense(engine).read(fresh)
    made = shared.of(fresh)
    with stopwatch() as second:
        DenseBM25(engine).read(fresh)
    assert shared.of(fresh) is made
    assert second.seconds > 0.9 * first.seconds  # charged for what it found done


def test_hybrid_is_the_sum_of_reciprocal_ranks(engine: Engine) -> None:
    dense, hybrid = Dense(engine), DenseBM25(engine)
    dense.read(COLLECTION)
    hybrid.read(COLLECTION)
    question = "Which yeast does sourdough need?"
    places = units(COLLECTION, "sentences", engine.llm)
    scores = BM25Okapi([words(COLLECTION.text(place)) for place in places]).get_scores(
        words(question)
    )
    sharing = [
        n
        for n in range(len(places))
        if set(words(question)) & set(words(COLLECTION.text(places[n])))
    ]
    assert 0 < len(sharing) < len(places)
    by_words = [places[n] for n in sorted(sharing, key=lambda n: -scores[n])]
    by_cosines = dense.rank(question)
    assert sorted(by_cosines) == sorted(places)
    sums = {place: 1 / (61 + by_cosines.index(place)) for place in places}
    for rank, place in enumerate(by_words):
        sums[place] += 1 / (61 + rank)
    ranking = hybrid.rank(question)
    assert [sums[place] for place in ranking] == sorted(sums.values(), reverse=True)
    assert COLLECTION.text(ranking[0]) == "Sourdough needs no bought yeast."

    chunks = DenseBM25Chunks(engine)
    chunks.read(COLLECTION)
    assert [place.doc_id for place in chunks.rank(question)] == ["bread", "lighthouse"]


def test_hyde_looks_for_a_passage_that_is_written_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    stream = engine.llm.stream

    def counted(ids: Any, **options: Any) -> Iterator[str]:
        written.append(engine.llm.decode(ids))
        return stream(ids, **options)

    monkeypatch.setattr(engine.llm, "stream", counted)
    hyde, chunks = HyDE(engine), HyDEChunks(engine)
    assert hyde.note.endswith("sentences, passages by HuggingFaceTB/SmolLM2-135M-Instruct")
    hyde.read(COLLECTION)
    chunks.read(COLLECTION)
    with stopwatch() as first:
        ranking = hyde.rank(QUESTION)
    with stopwatch() as second:
        of_chunks = chunks.rank(QUESTION)
    assert len(written) == 1
    assert "Please write a passage to answer the question\nQuestion: Which keeper" in written[0]
    assert second.seconds > first.seconds / 2  # nearly all of it is the writing: charged again
    assert [place.doc_id for place in of_chunks] == ["lighthouse", "bread"]

    passage = hypothetical_passage(engine.llm, QUESTION)
    assert 20 < engine.llm.count_tokens(passage) <= 64
    model = load_encoder(str(engine.llm.device))
    places = units(COLLECTION, "sentences", engine.llm)
    vectors = model.passages([COLLECTION.text(place) for place in places])
    wanted = model.passages([passage])[0] + model.question(QUESTION)
    assert ranking == by_cosine(vectors, wanted, places)
    assert {place.doc_id for place in ranking[:2]} == {"lighthouse"}


@pytest.mark.parametrize("method", [Dense, DenseChunks, DenseBM25, HyDE])
def test_what_is_missing_is_named(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, method: type[Dense]
) -> None:
    load_encoder.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "WHEEL", "no-such-wheel")
        with pytest.raises(MethodUnavailable, match="pip install no-such-wheel"):
            method(engine)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(MethodUnavailable, match="sentence-transformers is not installed"):
            method(engine)


def test_hybrid_without_rank_bm25(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rank_bm25", None)
    with pytest.raises(MethodUnavailable, match="rank-bm25 is not installed"):
        DenseBM25(engine)
