"""Published heads fit models of the shape that they were found in."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever.settings import SaeSettings
from s3_retriever.training.adoption.layers import HeadRanking
from s3_retriever.training.adoption.material import from_text
from s3_retriever.training.adoption.published import PUBLISHED_HEADS, published_heads
from s3_retriever.training.adoption.ranking import rank_heads
from s3_retriever.training.calibration.heads import HeadReader
from s3_retriever.training.recipe import planned_card
from tests.tiny import tiny_llm
from tests.training.adoption.test_material import paragraph

SHAPES = {
    "llama-3.1-8b": ("llama", "meta-llama/Llama-3.1-8B-Instruct", 32, 32, 8),
    "qwen2.5-7b": ("qwen2", "Qwen/Qwen2.5-7B-Instruct", 28, 28, 4),
    "mistral-7b": ("mistral", "mistralai/Mistral-7B-Instruct-v0.2", 32, 32, 8),
}


def test_each_has_a_shape() -> None:
    assert SHAPES.keys() == PUBLISHED_HEADS.keys()


@pytest.mark.parametrize("name", SHAPES)
def test_heads_are_inside_their_model(name: str) -> None:
    _, model, n_layers, n_heads, _ = SHAPES[name]
    assert published_heads(model, n_layers, n_heads) == PUBLISHED_HEADS[name]
    assert published_heads(model, 12, n_heads) == ()  # a smaller one of the name


@pytest.mark.parametrize("name", SHAPES)
def test_they_are_ranked_in_a_model_of_their_shape(name: str, tmp_path: Path) -> None:
    family, model, n_layers, n_heads, n_kv_heads = SHAPES[name]
    llm = tiny_llm(
        family,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_kv_heads,
        hidden_size=8 * n_heads,
        max_position_embeddings=2048,
    )
    heads = published_heads(model, n_layers, n_heads)
    card = planned_card(llm, "t", [(0, (0,))], (), SaeSettings(latents=2, k=1), bos=False)
    reader = HeadReader(llm, card, n_layers=max(layer for layer, _ in heads) + 1)
    text = "\n\n".join(map(paragraph, range(60)))
    questions = rank_heads(reader, from_text([text], seed=0).learn[:4], tmp_path)
    table = HeadRanking(questions, n_kv_heads, heads).table()
    assert set(table.choice.heads) <= set(heads)
    sites = [(layer, (head // llm.layout.group,)) for layer, head in table.choice.heads[:1]]
    assert planned_card(llm, "t", sites, (), SaeSettings(latents=2, k=1), bos=False).hookpoints
