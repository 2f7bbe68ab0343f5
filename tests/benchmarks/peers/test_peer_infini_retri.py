"""InfiniRetri: its attention against transformers' own, its order against a plain computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from s3_retriever_bench.methods import infini_retri
from s3_retriever_bench.methods.attention import attention_weights
from s3_retriever_bench.methods.infini_retri import InfiniRetri
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.units import units

from s3_retriever import Document, Engine
from s3_retriever.labels.collections import Collection
from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.engine.conftest import DOCUMENTS
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "Who was the last keeper of the lighthouse?"
KEEPER = "The last keeper, Agnes Tullis, left in 1973."
LIGHTHOUSE = f"A white lighthouse stands on Skerry Point.  {KEEPER}\n\nA tower stood."
COLLECTION = Collection((Document("light", LIGHTHOUSE), Document("bread", TEXT)), ())


def tiny_engine(folder: Path, *, window: int) -> Engine:
    tiny = tiny_llm(max_position_embeddings=window)
    return Engine(tiny, Profile.load(write_profile(folder, tiny)))


def eager_attention(llm: TransformersModel, ids: list[int]) -> np.ndarray:
    """``(n, n)``: the last layer's weights as transformers gives them, summed over heads."""
    before = llm.model.config._attn_implementation
    llm.model.set_attn_implementation("eager")
    with torch.inference_mode():
        out = llm.model(input_ids=torch.tensor([ids]), output_attentions=True)
    llm.model.set_attn_implementation(before)
    weights: np.ndarray = out.attentions[-1][0].float().sum(0).numpy()
    return weights


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", SUPPORTED)
def test_attention_is_that_of_transformers(family: str, implementation: str) -> None:
    tiny = tiny_llm(family)
    tiny.model.set_attn_implementation(implementation)
    ids = tiny.tokenize(TEXT[:60]).ids.tolist()
    assert len(ids) > 16  # beyond the sliding windows
    rows = [0, 3, len(ids) - 1]
    found = attention_weights(tiny, ids, rows, [1, 2])
    assert found[1].shape == found[2].shape == (6, 3, len(ids))
    assert found[2].sum(axis=0) == pytest.approx(eager_attention(tiny, ids)[rows], abs=1e-5)
    assert found[1].sum(axis=2) == pytest.approx(np.ones((6, 3)), abs=1e-4)
    assert not any(m._forward_pre_hooks for m in tiny.model.modules())


def test_one_window_is_ordered_by_the_best_smoothed_token(tmp_path: Path) -> None:
    engine = tiny_engine(tmp_path, window=4096)
    tiny = engine.llm
    method = InfiniRetri(engine)
    method.read(COLLECTION)
    ranking = method.rank(QUESTION)

    context = f"{LIGHTHOUSE}\n\n{TEXT}".rstrip()
    prompt = f"{infini_retri.BEFORE}{context}\n\nQuestion:\n\n{QUESTION}\n\nAnswer:"
    tokens = tiny.tokenize(prompt)
    attention = eager_attention(tiny, tiny.chat_ids([{"role": "user", "content": prompt}]))
    ends = tokens.ends.astype(int)
    asked = prompt.index(QUESTION)
    rows = [n for n, end in enumerate(ends) if asked < end <= asked + len(QUESTION)]
    start = prompt.index(context)
    columns = [n for n, end in enumerate(ends) if start < end <= start + len(context)]
    weights = attention[rows][:, columns].sum(axis=0)
    padded = np.concatenate([np.zeros(3), weights, np.zeros(4)])
    box = [padded[n : n + 8].mean() for n in range(len(weights))]

    places = units(COLLECTION, "sentences", tiny)
    sentence_starts = [prompt.index(COLLECTION.text(place)) for place in places]
    best = [0.0] * len(places)
    for column, value in zip(columns, box, strict=True):
        number = sum(ends[column] - 1 >= first for first in sentence_starts) - 1
        best[number] = max(best[number], value)
    assert ranking == [places[n] for n in sorted(range(len(places)), key=lambda n: -best[n])]


def test_every_sentence_is_ranked_once_over_several_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny_engine(tmp_path, window=4096)
    monkeypatch.setattr(infini_retri, "WINDOW_TOKENS", 60)  # of 157
    places = units(COLLECTION, "sentences", engine.llm)
    rankings = {}
    for top in (1, 300):
        monkeypatch.setattr(infini_retri, "TOP_TOKENS", top)
        method = InfiniRetri(engine)
        method.read(COLLECTION)
        rankings[top] = method.rank(QUESTION)
        assert sorted(rankings[top]) == sorted(places)
        assert method.rank(QUESTION) == rankings[top]
    assert rankings[1] != rankings[300]


def test_what_is_carried_along_fits_half_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny_engine(tmp_path, window=240)
    sizes = []

    def counted(
        llm: TransformersModel, ids: list[int], rows: list[int], layers: list[int]
    ) -> dict[int, np.ndarray]:
        sizes.append(len(ids))
        return attention_weights(llm, ids, rows, layers)

    monkeypatch.setattr(infini_retri, "attention_weights", counted)
    method = InfiniRetri(engine)
    method.read(Collection(tuple(Document(str(n), TEXT) for n in range(5)), ()))
    assert len(method.rank(QUESTION)) == 15
    asked = infini_retri.BEFORE + infini_retri.BETWEEN + QUESTION + infini_retri.AFTER
    around = engine.llm.count_tokens(asked + "\n\n")
    assert len(sizes) >= 5
    assert 120 < max(sizes) - around <= 120 + 60  # half of 240, and a window of a quarter
    assert sizes[0] - around <= 60


def test_a_large_collection_is_refused_with_its_size(
    llm: TransformersModel, engine: Engine
) -> None:
    text = "The cat sat on the mat. " * 7200
    tokens = llm.count_tokens(text)
    assert tokens > 50_000
    method = InfiniRetri(engine)
    with pytest.raises(MethodUnavailable, match=r"again for each question: 5\d,\d{3} tokens"):
        method.read(Collection((Document("a", text),), ()))


def test_the_real_model_looks_at_what_is_asked_for(engine: Engine) -> None:
    """In so short a text its last layer favours ends of paragraphs: ranks are compared."""
    golds = {
        "Who was the last keeper of the lighthouse?": "The last keeper",
        "Until when did the lamp burn whale oil?": "Its lamp",
        "How long are flour and water left to ferment?": "Flour",
        "How many years pass before the comet returns?": "Comet",
    }
    method = InfiniRetri(engine)
    collection = Collection(tuple(DOCUMENTS), ())
    method.read(collection)
    rankings = [[collection.text(place) for place in method.rank(question)] for question in golds]
    ranks = np.array(
        [
            next(n for n, text in enumerate(ranking) if text.startswith(gold))
            for ranking in rankings
            for gold in golds.values()
        ]
    ).reshape(4, 4)
    assert np.diagonal(ranks).mean() < ranks.mean() - 0.5
