"""Dense, hybrid and HyDE with the real all-MiniLM-L6-v2 of its wheel and the real SmolLM2."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np
import pytest
from rank_bm25 import BM25Okapi
from s3_retriever_bench.methods import METHODS, encoder
from s3_retriever_bench.methods.bm25 import BM25
from s3_retriever_bench.methods.dense import Cosines
from s3_retriever_bench.methods.encoder import load_encoder
from s3_retriever_bench.methods.hyde import HyDE, hypothetical_passage
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.ranking import UnitRanking
from s3_retriever_bench.methods.units import UnitKind, shared_units, units, words
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


CHUNKS: UnitKind = "chunks of 256 tokens"


def by_cosine(vectors: np.ndarray, vector: np.ndarray, places: list[Place]) -> list[Place]:
    return [
        places[n] for n in sorted(range(len(places)), key=lambda n: -float(vectors[n] @ vector))
    ]


def test_the_order_is_that_of_the_cosines(engine: Engine) -> None:
    dense = UnitRanking(engine, [Cosines])
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
    dense = UnitRanking(engine, [Cosines], [CHUNKS])
    dense.read(COLLECTION)
    lengths = [len(document.text) for document in COLLECTION.documents]
    assert dense.rank(QUESTION) == [
        Place("lighthouse", 0, lengths[0]),
        Place("bread", 0, lengths[1]),
    ]
    assert dense.note.endswith("chunks of 256 tokens")


def test_variants_share_what_is_read_and_asked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    model = load_encoder(str(engine.llm.device))
    encode = model._encode

    def counted(texts: Sequence[str]) -> np.ndarray:
        encoded.extend(texts)
        return encode(texts)

    monkeypatch.setattr(model, "_encode", counted)
    fresh = Collection(COLLECTION.documents, ())
    with stopwatch() as first:
        UnitRanking(engine, [Cosines]).read(fresh)
    n_sentences = len(units(fresh, "sentences", engine.llm))
    assert len(encoded) == n_sentences
    hybrid = UnitRanking(engine, [Cosines, BM25])
    with stopwatch() as second:
        hybrid.read(fresh)
    assert second.seconds > 0.9 * first.seconds  # charged for what it found done
    for make in METHODS["dense+bm25"]:
        method = make(engine)
        method.read(fresh)
        method.rank(QUESTION)
        method.rank(QUESTION)
    kinds: tuple[UnitKind, ...] = get_args(UnitKind)
    n_units = sum(len(shared_units(engine, kind).of(fresh).places) for kind in kinds)
    assert len(encoded) == n_units + 1  # and the question


@pytest.mark.parametrize("name", ["bm25", "dense", "dense+bm25"])
def test_every_variant_ranks_every_unit_once(engine: Engine, name: str) -> None:
    notes = set()
    for make in METHODS[name]:
        method = make(engine)
        assert isinstance(method, UnitRanking)
        method.read(COLLECTION)
        (kind,) = (k for k in get_args(UnitKind) if f", {k}" in method.note.split(" with ")[0])
        assert sorted(method.rank(QUESTION)) == sorted(units(COLLECTION, kind, engine.llm))
        notes.add(method.note)
    assert len(notes) == len(METHODS[name]) == (12 if name == "dense+bm25" else 6)


def of_units(engine: Engine, kind: UnitKind, question: str) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and BM25 of the units of a kind, by the packages alone."""
    texts = shared_units(engine, kind).of(COLLECTION).texts
    model = load_encoder(str(engine.llm.device))
    cosines = model.passages(texts) @ model.question(question)
    return cosines, BM25Okapi([words(text) for text in texts]).get_scores(words(question))


def standard(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = (values - values.mean()) / values.std()
    return found


def test_hybrid_is_the_sum_of_reciprocal_ranks(engine: Engine) -> None:
    question = "Which yeast does sourdough need?"
    places = units(COLLECTION, "sentences", engine.llm)
    cosines, scores = of_units(engine, "sentences", question)
    sharing = [
        n
        for n in range(len(places))
        if set(words(question)) & set(words(COLLECTION.text(places[n])))
    ]
    assert 0 < len(sharing) < len(places)
    sums = np.zeros(len(places))
    for rank, n in enumerate(sorted(range(len(places)), key=lambda n: -cosines[n])):
        sums[n] += 1 / (61 + rank)
    for rank, n in enumerate(sorted(sharing, key=lambda n: -scores[n])):
        sums[n] += 1 / (61 + rank)
    hybrid = UnitRanking(engine, [Cosines, BM25], fusion="reciprocal ranks")
    hybrid.read(COLLECTION)
    ranking = hybrid.rank(question)
    assert ranking == [places[n] for n in np.argsort(-sums, kind="stable")]
    assert COLLECTION.text(ranking[0]) == "Sourdough needs no bought yeast."
    assert hybrid.note.endswith(" and rank-bm25, sentences, reciprocal ranks")


def test_sentences_with_their_paragraphs_scores(engine: Engine) -> None:
    method = UnitRanking(engine, [Cosines, BM25], ["titled sentences", "paragraphs"])
    method.read(COLLECTION)
    total = sum(map(standard, of_units(engine, "titled sentences", QUESTION)))
    places = units(COLLECTION, "sentences", engine.llm)
    documents = [d.id for d in COLLECTION.documents]  # each is one paragraph
    of_paragraph = [documents.index(place.doc_id) for place in places]
    for scores in of_units(engine, "paragraphs", QUESTION):
        total = total + standard(scores[of_paragraph])
    assert method.rank(QUESTION) == [places[n] for n in np.argsort(-total, kind="stable")]
    assert method.note.endswith("titled sentences with the scores of their paragraphs, z-scores")


def test_hyde_looks_for_a_passage_that_is_written_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    stream = engine.llm.stream

    def counted(ids: Any, **options: Any) -> Iterator[str]:
        written.append(engine.llm.decode(ids))
        return stream(ids, **options)

    monkeypatch.setattr(engine.llm, "stream", counted)
    hyde = UnitRanking(engine, [HyDE])
    chunks = UnitRanking(engine, [HyDE], [CHUNKS])
    assert hyde.note.endswith("passages by HuggingFaceTB/SmolLM2-135M-Instruct, sentences")
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


@pytest.mark.parametrize("scorer", [Cosines, HyDE])
def test_what_is_missing_is_named(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, scorer: type[Cosines]
) -> None:
    load_encoder.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "WHEEL", "no-such-wheel")
        with pytest.raises(MethodUnavailable, match="pip install no-such-wheel"):
            UnitRanking(engine, [scorer])
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(MethodUnavailable, match="sentence-transformers is not installed"):
            UnitRanking(engine, [scorer])


def test_bm25_without_rank_bm25(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rank_bm25", None)
    with pytest.raises(MethodUnavailable, match="rank-bm25 is not installed"):
        UnitRanking(engine, [BM25])


def test_bm25_of_texts_without_a_word(engine: Engine) -> None:
    method = UnitRanking(engine, [BM25])
    method.read(Collection((Document("a", "..."),), ()))
    assert method.rank("Why?") == [Place("a", 0, 3)]
    method.read(Collection((), ()))
    assert method.rank("Why?") == []
