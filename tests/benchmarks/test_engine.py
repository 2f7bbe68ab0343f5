"""The evaluation and the benchmark, end to end on the real model and a few texts."""

from __future__ import annotations

import gc
import weakref

import pytest
from s3_retriever_bench.methods import METHODS
from s3_retriever_bench.methods.s3 import S3, scanned
from s3_retriever_bench.reading_bench import bench_reading
from s3_retriever_bench.retrieval import evaluate_retrieval
from s3_retriever_bench.scan_bench import bench_scan

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.retrieval.budget import SEPARATOR
from tests.engine.conftest import DOCUMENTS

CONTEXT = "\n\n".join(f"{d.id}\n{d.text}" for d in DOCUMENTS)
ASKED = {
    "Who was the last keeper of the lighthouse?": "The last keeper, Agnes Tullis, left in 1973 "
    "after the light had been automated.",
    "When will the comet return?": "The next return is expected in 2025.",
}
OURS = ("bm25", "tantivy-bm25", "s3-pure", "s3-hybrid", "s3-attention", "s3")
"""Methods that need no other model."""


def question(text: str, documents: tuple[Document, ...]) -> Question:
    gold = ASKED[text]
    (document,) = (d for d in documents if gold in d.text)
    start = document.text.index(gold)
    place = Place(document.id, start, start + len(gold))
    grades = {document.id: 1}
    return Question(text, text, (gold,), (place,), (place,), grades)


def collection(*documents: Document) -> Collection:
    questions = tuple(question(text, documents) for text in ASKED)
    passages = tuple(place for q in questions for place in q.gold_passages)
    return Collection(documents, questions, passages)


DISTRACTOR = collection(Document("context", CONTEXT))
CORPUS = collection(*DOCUMENTS)


@pytest.mark.parametrize("setting", [DISTRACTOR, CORPUS], ids=["distractor", "corpus"])
def test_every_method_stays_in_budget_and_is_measured(engine: Engine, setting: Collection) -> None:
    seen: list[tuple[int, int]] = []
    result = evaluate_retrieval(
        engine,
        [setting],
        methods=OURS,
        budgets=[40, 100],
        seed=1,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert result["n"] == 2
    assert list(result["methods"]) == list(OURS)
    for name, figures in result["methods"].items():
        assert figures["skipped"] is None
        for budget in ("40", "100"):
            assert 0 < figures["tokens_used"][budget] <= int(budget), name
            assert 0 <= figures["evidence_recall"][budget]["mean"] <= 1
            shares = [figures[f"span_{m}"][budget]["mean"] for m in ("recall", "precision", "iou")]
            assert 0 <= shares[2] <= min(shares[:2]) <= 1
        assert figures["index_seconds"] > 0
        assert figures["ms_per_question"] > 0
    ours = result["methods"]["s3"]
    assert ours["evidence_recall"]["100"] == {"mean": 1, "low": 1, "high": 1}
    assert ours["passage_recall"]["2"]["mean"] == 1
    assert ours["ndcg@10"]["mean"] == 1
    best = result["comparisons"]["100"]["best_peer"]
    assert set(result["comparisons"]["100"]) == {"best_peer", *OURS} - {best}
    assert seen[-1] == (22, 22)  # two questions, eleven variants of six methods
    # what is scanned once counts for each that uses it
    scans = [f["index_seconds"] for name, f in result["methods"].items() if name != "bm25"]
    assert min(scans) > 0.9 * max(scans)


@pytest.mark.parametrize("name", OURS)
def test_rankings_are_of_the_collection_and_do_not_overlap(engine: Engine, name: str) -> None:
    for make in METHODS[name]:
        method = make(engine)
        method.read(CORPUS)
        places = method.rank(next(iter(ASKED)))
        assert places
        assert all(CORPUS.text(place) for place in places)
        for n, place in enumerate(places):
            for other in places[:n]:
                apart = place.end <= other.start or other.end <= place.start
                assert place.doc_id != other.doc_id or apart


def test_filling_a_budget_is_what_the_engine_does(engine: Engine) -> None:
    method = S3(engine)
    method.read(CORPUS)
    # the engine counts the empty line before each span but the first, too
    count = engine.llm.count_tokens
    line = count(SEPARATOR + "A") - count("A")
    filler = BudgetFiller(CORPUS, lambda text: count(SEPARATOR + text))
    for text in ASKED:
        ranking = method.rank(text)
        for budget in (5, 30, 64, 150):
            filled = [CORPUS.text(place) for place in filler.fill(ranking, budget + line)]
            assert filled == [span.text for span in engine.retrieve(text, max_tokens=budget)]


def test_methods_share_one_scan_and_nothing_keeps_the_engine(engine: Engine) -> None:
    own = Engine(engine.llm, engine.profile)
    index = scanned(own).of(CORPUS)
    assert scanned(own).of(CORPUS) is index
    assert index.ids() == [d.id for d in DOCUMENTS]
    assert len(own) == 0
    gone = weakref.ref(own)
    del own
    gc.collect()
    assert gone() is None


def test_bench_scan_measures_both(engine: Engine) -> None:
    result = bench_scan(
        engine.llm, engine.profile, CONTEXT, tokens=200, repeats=1, lengths=[200, 400]
    )
    assert result["ratio"] == pytest.approx(
        result["scan_tokens_per_s"] / result["prefill_tokens_per_s"], rel=0.01
    )
    assert set(result["peak_memory_bytes"]) == {"200", "400"}
    assert result["tokens"] == pytest.approx(200, abs=3)
    assert result["last_layer"] == 18
    assert 0 < result["coding_share"] < 1
    with pytest.raises(InputError):
        bench_scan(engine.llm, engine.profile, CONTEXT, tokens=0)


def test_bench_reading_times_what_is_known(engine: Engine) -> None:
    result = bench_reading(engine.llm, engine.profile, CONTEXT, list(ASKED))
    assert len(result["runs"]["first"]) == len(result["runs"]["again"]) == len(ASKED)
    assert min(result["again_s"], result["first_s"], result["ratio"]) > 0
    assert result["read_anew"] < 1
    short = bench_reading(engine.llm, engine.profile, CONTEXT, list(ASKED), tokens=100)
    assert short["tokens"] <= 100 < result["tokens"]
    with pytest.raises(InputError):
        bench_reading(engine.llm, engine.profile, CONTEXT, list(ASKED)[:1])
