"""Means, the choice among variants, and comparisons, by hand."""

from __future__ import annotations

from s3_retriever_bench.summary import Measured, summarise


def measured(note: str, at_64: list[float], at_256: list[float], ms: float = 1.0) -> Measured:
    """One variant with the evidence recall of each question."""
    found = Measured(note=note, index_seconds=ms)
    for low, high in zip(at_64, at_256, strict=True):
        found.add(
            {
                ("evidence_recall", "64"): low,
                ("evidence_recall", "256"): high,
                ("answer_recall", "64"): None,
                ("tokens_used", "64"): 60 + low,
                ("tokens_used", "256"): 250 + high,
                ("passage_recall", "2"): low,
                ("passage_recall", "5"): high,
                ("ms", ""): ms,
            }
        )
    return found


SENTENCES = measured("sentences", [0, 1, 1], [0, 1, 0], ms=10)
CHUNKS = measured("chunks", [0, 0, 0], [1, 1, 0], ms=20)
OURS = measured("", [1, 1, 1], [1, 0.5, 0], ms=30)


def test_the_better_variant_is_reported_at_each_budget() -> None:
    result = summarise({"bm25": [SENTENCES, CHUNKS]}, [64, 256], seed=0)
    figures = result["methods"]["bm25"]
    assert figures["evidence_recall"]["64"]["mean"] == 2 / 3
    assert figures["evidence_recall"]["256"]["mean"] == 2 / 3
    assert figures["note"] == "at 64: sentences; at 256: chunks"
    assert figures["tokens_used"] == {"64": 60 + 2 / 3, "256": 250 + 2 / 3}
    # at the headline budget of 256 that is the one over chunks
    assert figures["passage_recall"]["2"]["mean"] == 0
    assert (figures["ms_per_question"], figures["index_seconds"]) == (20, 20)


def test_what_does_not_apply_is_none() -> None:
    figures = summarise({"bm25": [SENTENCES]}, [64, 256], seed=0)["methods"]["bm25"]
    assert figures["answer_recall"] is None
    assert figures["all_evidence"] is None
    assert figures["ndcg@10"] is None
    assert figures["skipped"] is None
    assert figures["note"] == "sentences"


def test_a_method_without_any_variant_left_says_why() -> None:
    gone = Measured(skipped="no weights")
    result = summarise({"dense": [gone, gone], "bm25": [SENTENCES, gone]}, [64, 256], seed=0)
    assert result["methods"]["dense"]["skipped"] == "no weights"
    assert result["methods"]["dense"]["evidence_recall"] is None
    assert result["methods"]["bm25"]["skipped"] is None
    assert result["methods"]["bm25"]["note"] == "sentences; a variant was skipped: no weights"
    assert result["comparisons"]["64"] == {"best_peer": "bm25"}


def test_differences_are_paired_with_the_best_peer() -> None:
    methods = {"bm25": [SENTENCES], "dense": [CHUNKS], "s3": [OURS]}
    found = summarise(methods, [64, 256], seed=0)["comparisons"]
    assert found["64"]["best_peer"] == "bm25"
    assert found["64"]["s3"]["mean"] == 1 / 3
    assert found["64"]["dense"]["mean"] == -2 / 3
    assert found["256"]["best_peer"] == "dense"
    # 1 - 1, 0.5 - 1, 0 - 0: drawn again and again, the mean lies between -0.5 and 0
    assert found["256"]["s3"] == {"mean": -0.5 / 3, "low": -0.5, "high": 0.0}


def test_without_peers_there_is_nothing_to_compare_with() -> None:
    assert summarise({"s3": [OURS]}, [64, 256], seed=0)["comparisons"] == {}


def test_graded_data_is_compared_by_ndcg() -> None:
    worse, better, ours = Measured("worse"), Measured("better"), Measured()
    for variant, value in ((worse, 0.25), (better, 0.5), (ours, 0.75)):
        for _ in range(3):
            variant.add({("ndcg@10", ""): value, ("recall@100", ""): 1.0, ("ms", ""): 1.0})
            variant.add({("tokens_used", "64"): 64, ("tokens_used", "256"): 256})
    result = summarise({"bm25": [worse, better], "s3": [ours]}, [64, 256], seed=0)
    assert result["methods"]["bm25"]["ndcg@10"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert result["methods"]["bm25"]["note"] == "better"
    assert result["methods"]["bm25"]["evidence_recall"] is None
    assert result["comparisons"] == {
        "ndcg@10": {"best_peer": "bm25", "s3": {"mean": 0.25, "low": 0.25, "high": 0.25}}
    }
