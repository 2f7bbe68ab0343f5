"""Abstention, and what is in memory."""

from __future__ import annotations

import pytest

from s3_retriever import Engine
from s3_retriever.errors import InputError
from s3_retriever.explain.abstain import Abstention, choose_threshold
from s3_retriever.explain.memory import memory_report
from s3_retriever.models.transformers import TransformersModel

ANSWERABLE = [
    "When was the lighthouse on Skerry Point finished?",
    "What do bakers keep as a starter?",
    "How often does Comet Hargreave return?",
    "Who first saw the comet?",
]
UNANSWERABLE = [
    "Which party won the election in Norway?",
    "What is the boiling point of ethanol?",
    "Who composed the opera Carmen?",
    "How many players are in a rugby team?",
]


def test_the_threshold_is_the_best_on_both():
    learned = choose_threshold([3.0, 2.0, 5.0], [1.0, 0.5])
    assert (learned.threshold, learned.found, learned.refused) == (1.5, 1.0, 1.0)
    mixed = choose_threshold([1.0, 3.0], [2.0, 0.0])
    assert (mixed.found + mixed.refused) / 2 == 0.75
    with pytest.raises(InputError, match="answerable"):
        choose_threshold([], [1.0])


def test_abstaining(engine, tmp_path):
    asking = Engine(engine.llm, engine.profile)
    asking.add([engine.get(doc_id) for doc_id in engine.ids()])
    assert asking.abstention is None
    learned = Abstention.learn(asking, ANSWERABLE[2:], UNANSWERABLE[2:])
    assert (learned.found, learned.refused) == (1.0, 1.0)
    learned.save(tmp_path / "abstention.json")
    asking.abstention = Abstention.load(tmp_path / "abstention.json")
    assert asking.abstention == learned
    assert all(asking.retrieve(question) for question in ANSWERABLE[:2])
    assert [asking.retrieve(question) for question in UNANSWERABLE[:2]] == [[], []]


def test_a_file_with_something_else(tmp_path):
    path = tmp_path / "abstention.json"
    for content in ("[1]", "{", '{"threshold": 1}'):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="abstention"):
            Abstention.load(path)


def test_weights_are_counted_once(engine):
    report = engine.memory_report(llm=engine.llm, model=engine.llm.model, again=[engine])
    buffers = sum(b.numel() * b.element_size() for b in engine.llm.model.buffers())
    assert 0 <= report["language_model"] - engine.llm.describe()["weight_bytes"] <= buffers
    saes = engine.profile.saes
    values = sum(p.numel() * p.element_size() for sae in saes for p in sae.parameters())
    assert report["autoencoders"] == values
    assert (report["llm"], report["model"], report["again"]) == (0, 0, 0)
    kept = engine.llm.likelihood_cache.n_bytes
    assert report["likelihood_cache"] == kept
    assert report["total"] == report["language_model"] + values + kept


def test_passages_that_the_model_keeps_have_a_name(engine):
    cache = engine.llm.likelihood_cache
    cache.clear()
    before = engine.memory_report()
    assert engine.retrieve(ANSWERABLE[0])
    after = engine.memory_report()
    assert before["likelihood_cache"] == 0
    assert after["likelihood_cache"] == cache.n_bytes > 0
    assert after["language_model"] == before["language_model"]


def test_a_pipeline_of_transformers_shares_them(engine):
    from transformers import pipeline

    llm = engine.llm
    pipe = pipeline("text-generation", model=llm.model, tokenizer=llm.tokenizer)
    assert engine.memory_report(pipe=pipe)["pipe"] == 0


def test_a_second_copy_counts(engine):
    from tests.tiny import tiny_model

    other = tiny_model("llama")
    report = memory_report({"one": engine.llm, "two": other, "chat": [other, engine]})
    assert report["two"] == sum(p.numel() * 4 for p in other.parameters()) + sum(
        b.numel() * b.element_size() for b in other.buffers()
    )
    assert report["chat"] > 0  # the autoencoders
    assert isinstance(engine.llm, TransformersModel)
