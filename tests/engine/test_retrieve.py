"""Questions to the real model: the right spans, exact offsets, budgets, filters, modes."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from s3_retriever import Document, Engine, RetrieveSettings, Span
from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.presets import mode_names
from s3_retriever.settings import DensitySettings, FusionSettings, Mode, Scoring, SpanSettings
from tests.engine.conftest import DOCUMENTS, HARD_TEXTS

TEXTS = {d.id: d.text for d in DOCUMENTS}


def exact(span: Span, texts: dict[str, str]) -> bool:
    return texts[span.doc_id][span.start : span.end] == span.text and span.text != ""


@pytest.mark.parametrize(
    ("question", "document", "words"),
    [
        ("Who was the last keeper of the lighthouse?", "lighthouse", "Agnes Tullis"),
        ("Why does the comet's tail point away from the sun?", "comet", "solar wind"),
        ("What makes sourdough rise?", "bread", "wild yeasts"),
    ],
)
@pytest.mark.parametrize("mode", ["hybrid", "features"])
def test_the_evidence_is_found(
    engine: Engine, question: str, document: str, words: str, mode: Mode
) -> None:
    spans = engine.retrieve(question, max_tokens=96, mode=mode)
    assert any(s.doc_id == document and words in s.text for s in spans)


@pytest.mark.parametrize("scoring", get_args(Scoring))
@pytest.mark.parametrize("mode", mode_names())
def test_every_way_gives_exact_spans_in_budget(
    engine: Engine, mode: Mode, scoring: Scoring
) -> None:
    spans = engine.retrieve(
        "When was the light automated?", max_tokens=60, mode=mode, scoring=scoring
    )
    assert spans
    assert all(exact(s, TEXTS) for s in spans)
    assert sum(engine.llm.count_tokens(s.text) for s in spans) <= 60
    assert [s.rank for s in spans] == list(range(len(spans)))
    assert [s.score for s in spans] == sorted((s.score for s in spans), reverse=True)
    fast = {"features", "bm25", "pseudo_relevance_feedback", "passages"}
    legs = {
        "hybrid": fast | {"query_likelihood"},
        "fast": fast,
        "features": {"features"},
        "bm25": {"bm25"},
    }[mode]
    assert all(s.scores and set(s.scores) <= legs for s in spans)
    for a in spans:
        for b in spans:
            if a is not b and a.doc_id == b.doc_id:
                assert a.end <= b.start or b.end <= a.start


def test_spans_are_whole_sentences(engine: Engine) -> None:
    for span in engine.retrieve("When was the lighthouse finished?", max_tokens=120):
        text = TEXTS[span.doc_id]
        assert span.start == 0 or text[span.start - 2 : span.start] == ". "
        assert text[span.end - 1] == "."


def test_budget_and_k(engine: Engine) -> None:
    question = "What happened in 1902?"
    assert len(engine.retrieve(question, max_tokens=None, k=2)) == 2
    assert len(engine.retrieve(question, max_tokens=None)) > 2
    tiny = engine.retrieve(question, max_tokens=3)
    assert len(tiny) == 1  # cut after a word that fits
    assert exact(tiny[0], TEXTS)
    assert engine.llm.count_tokens(tiny[0].text) <= 3


def test_filter(engine: Engine) -> None:
    spans = engine.retrieve("In which year?", filter={"kind": {"$in": ["food", "sky"]}})
    assert {s.doc_id for s in spans} <= {"bread", "comet"}
    assert all(s.metadata["kind"] in ("food", "sky") for s in spans)
    assert engine.retrieve("In which year?", filter={"kind": "nothing"}) == []


def test_token_scores_cover_the_span(engine: Engine) -> None:
    (span, *_) = engine.retrieve("Who first saw the comet?", k=1, token_scores=True)
    assert span.tokens[0].start <= span.start
    assert span.tokens[-1].end >= span.end
    assert len({t.score for t in span.tokens}) > 1
    assert engine.retrieve("Who first saw the comet?", k=1)[0].tokens == ()
    assert json.loads(json.dumps(span.to_dict()))["id"] == f"comet:{span.start}-{span.end}"


def test_stages_can_be_switched_off(engine: Engine) -> None:
    question = "Who was the last keeper?"
    off = RetrieveSettings(
        density=DensitySettings(kernel=1, suppression=0, centres=1),
        spans=SpanSettings(threshold=1.0, sentences=False),
        fusion=FusionSettings(weights={"bm25": 0, "passages": 0, "query_likelihood": 0}),
    )
    (span,) = engine.retrieve(question, settings=off)
    assert exact(span, TEXTS)
    assert " " not in span.text.strip()  # one token widened to its word
    assert set(span.scores) == {"features"}


def test_lead_and_tail_join_the_union(engine: Engine) -> None:
    settings = RetrieveSettings(fusion=FusionSettings(lead_tokens=5, tail_tokens=5))
    spans = engine.retrieve("Who was the last keeper?", settings=settings, max_tokens=400)
    assert any("lead_tail" in s.scores and s.start == 0 for s in spans)
    assert any("lead_tail" in s.scores and s.end == len(TEXTS[s.doc_id]) for s in spans)


def test_candidates_of_a_large_index_find_the_same_best(
    llm: TransformersModel, profile: Profile
) -> None:
    """With nothing covered whole, blocks come from Tantivy; the best span stays."""
    from s3_retriever.settings import CandidateSettings

    engine = Engine(llm, profile)
    engine.add(DOCUMENTS)
    question = "Who was the last keeper of the lighthouse?"
    proposed = RetrieveSettings(candidates=CandidateSettings(cover=0))
    whole = engine.retrieve(question, k=1)
    assert [s.id for s in engine.retrieve(question, k=1, settings=proposed)] == [
        s.id for s in whole
    ]


@pytest.mark.parametrize("name", HARD_TEXTS)
def test_offsets_on_hard_texts(llm: TransformersModel, profile: Profile, name: str) -> None:
    engine = Engine(llm, profile)
    engine.add([Document("hard", HARD_TEXTS[name])])
    for mode in mode_names():
        for question in ("What is here?", "cat 東京 😀 line"):
            spans = engine.retrieve(question, max_tokens=40, mode=mode, token_scores=True)
            assert all(exact(s, {"hard": HARD_TEXTS[name]}) for s in spans)
            assert all(s.text.strip() for s in spans)
            assert sum(llm.count_tokens(s.text) for s in spans) <= 40
    assert engine.get("hard") == Document("hard", HARD_TEXTS[name])


@pytest.mark.parametrize("scoring", get_args(Scoring))
@pytest.mark.parametrize("mode", mode_names())
def test_an_empty_index_gives_nothing(
    llm: TransformersModel, profile: Profile, mode: Mode, scoring: Scoring
) -> None:
    engine = Engine(llm, profile)
    assert engine.retrieve("Anything?", mode=mode, scoring=scoring) == []
    engine.add(["A text."])
    engine.delete(engine.ids())
    assert engine.retrieve("Anything?", mode=mode, scoring=scoring) == []


def test_returned_metadata_is_a_copy(fresh: Engine) -> None:
    tags = ["a"]
    fresh.add([Document("d", "Some text.", {"tags": tags})])
    tags.append("b")
    (span,) = fresh.retrieve("Text?")
    span.metadata["tags"].append("c")
    document = fresh.get("d")
    assert document is not None
    document.metadata["tags"].append("d")
    assert fresh.retrieve("Text?", filter={"tags": "b"}) == []
    assert fresh.retrieve("Text?")[0].metadata == {"tags": ["a"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"question": ""}, "question is empty"),
        ({"question": " \n"}, "question is empty"),
        ({"question": "\ud800?"}, "lone surrogate"),
        ({"question": "why " * 9000}, "window"),
        ({"question": "x", "max_tokens": 0}, "max_tokens"),
        ({"question": "x", "k": 0}, "k must be"),
        ({"question": "x", "k": -1}, "k must be"),
        ({"question": "x", "mode": "best"}, "mode must be"),
        ({"question": "x", "scoring": "magic"}, "scoring must be"),
        ({"question": "x", "filter": {"a": {"$near": 1}}}, r"\$near"),
    ],
)
def test_bad_questions(engine: Engine, arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        engine.retrieve(**arguments)
    with pytest.raises(InputError, match=words):  # the same whether anything is there or not
        Engine(engine.llm, engine.profile).retrieve(**arguments)


@pytest.mark.parametrize("question", ["{question}", "{}", "%s", "a\x00b", "😀", "AND OR (", "\\"])
def test_odd_questions_are_plain_text(engine: Engine, question: str) -> None:
    assert all(exact(s, TEXTS) for s in engine.retrieve(question, max_tokens=50))
