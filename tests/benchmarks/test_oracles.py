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
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring import AttentionScorer
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
    index = scanned(engine).of(ONE).index
    (segment,) = index.snapshot.segments.values()
    profile, layout = engine.profile, engine.llm.layout
    projected = project_question(engine.llm, profile, QUESTION)
    scorer = AttentionScorer(profile, layout, projected, None)
    keys = []
    for number, (sae, hookpoint) in enumerate(
        zip(profile.saes, profile.card.hookpoints, strict=True)
    ):
        codes = torch.from_numpy(segment.ids[:, number].astype("int64"))
        steps = torch.from_numpy(segment.activations[:, number].astype("float32"))
        strengths = steps * hookpoint.activation_scale
        keys.append((sae.W_dec[codes] * strengths[..., None]).sum(1) + sae.b_dec)
    whole = scorer.score_keys(keys)
    coded = scorer.score(segment.ids, segment.activations)
    assert whole == pytest.approx(coded, rel=1e-3, abs=1e-3)


def test_what_does_not_fit_is_refused(engine: Engine) -> None:
    method = ContextOracle(engine)
    with pytest.raises(MethodUnavailable, match="one document"):
        method.read(Collection(tuple(DOCUMENTS), ()))
    with pytest.raises(MethodUnavailable, match=r"window leaves 7,680"):
        method.read(Collection((Document("long", TEXT * 80),), ()))
