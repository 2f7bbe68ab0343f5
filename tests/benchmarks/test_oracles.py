"""The two bounds: exact keys, and the whole document in context."""

from __future__ import annotations

import pytest
import torch
from s3_retriever_bench.methods import MethodUnavailable
from s3_retriever_bench.methods.oracle_context import ContextOracle
from s3_retriever_bench.methods.oracle_heads import HeadOracle
from s3_retriever_bench.methods.s3 import scanned

from s3_retriever import Document, Engine
from s3_retriever.labels.collections import Collection, Question
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring.base import score_tokens
from tests.engine.conftest import DOCUMENTS

QUESTION = "Who was the last keeper of the lighthouse?"
TEXT = "\n\n".join(document.text for document in DOCUMENTS)
ONE = Collection((Document("all", TEXT),), (Question("q", QUESTION),))


@pytest.fixture(scope="module")
def engine(llm: TransformersModel) -> Engine:
    """The real model with nothing in its index."""
    return Engine(llm, Profile.load("smollm2-135m-instruct"))


@pytest.mark.parametrize("make", [HeadOracle, ContextOracle])
def test_the_evidence_is_among_the_first(
    engine: Engine, make: type[HeadOracle] | type[ContextOracle]
) -> None:
    method = make(engine)
    method.read(ONE)
    ranking = method.rank(QUESTION)
    assert any("last keeper" in ONE.text(place) for place in ranking[:3])
    assert len(set(ranking)) == len(ranking) > 3


def test_exact_keys_score_as_codes_that_lose_nothing(engine: Engine) -> None:
    """Keys rebuilt from the codes, given whole, score as the codes do."""
    view = scanned(engine).of(ONE).documents.view
    batch = view.tokens([view.whole_document("all")])
    profile = engine.profile
    asked = project_question(engine.llm, profile.card, QUESTION)
    scorer = Retriever(engine.llm, profile).attention_scorer(asked, None)
    keys = []
    for number, (sae, hookpoint) in enumerate(
        zip(profile.saes, profile.card.hookpoints, strict=True)
    ):
        codes = torch.from_numpy(batch.ids[:, number].astype("int64"))
        steps = torch.from_numpy(batch.activations[:, number].astype("float32"))
        strengths = steps * hookpoint.activation_scale
        keys.append((sae.W_dec[codes] * strengths[..., None]).sum(1) + sae.b_dec)
    whole = scorer.score_keys(keys)
    coded = score_tokens(scorer, [batch])
    assert whole == pytest.approx(coded, rel=1e-3, abs=1e-3)


def test_what_does_not_fit_is_refused(engine: Engine) -> None:
    method = ContextOracle(engine)
    with pytest.raises(MethodUnavailable, match="one document"):
        method.read(Collection(tuple(DOCUMENTS), ()))
    with pytest.raises(MethodUnavailable, match=r"window leaves 7,680"):
        method.read(Collection((Document("long", TEXT * 80),), ()))
