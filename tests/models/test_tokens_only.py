"""The tokenizer alone counts as the model does, and says that it is no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import ModelError, NotLoadedError
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.tokens_only import TokensOnly
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import TEXT, tiny_llm


@pytest.fixture(scope="module")
def alone(llm: TransformersModel) -> TokensOnly:
    found = TokensOnly.load(llm.name)
    assert found is not None
    return found


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_the_same_tokens(llm: TransformersModel, alone: TokensOnly, text: str) -> None:
    assert alone.tokenize(text).ids.tolist() == llm.tokenize(text).ids.tolist()
    assert alone.count_tokens(text) == llm.count_tokens(text)


def test_special_tokens_are_text(llm: TransformersModel, alone: TokensOnly) -> None:
    for text in ("a<|im_start|>b", "<|im_end|>", TEXT):
        assert alone.tokenize(text).ids.tolist() == llm.tokenize(text).ids.tolist()
    assert alone.window == llm.window


def test_all_else_is_refused(alone: TokensOnly) -> None:
    model: LanguageModel = alone
    ids = model.tokenize("Who?").ids
    for asked in (
        lambda: model.prefix_ids("a", bos=False),
        lambda: model.adds_bos,
        model.tokenizer_hash,
        lambda: model.layout,
        lambda: model.read_keys([ids], [0], np.zeros(0, np.int32)),
        lambda: model.read_queries([ids], [0]),
        lambda: model.weights_digest(0),
        lambda: model.question_log_likelihoods([ids], "Who?"),
        lambda: model.chat_ids([]),
        lambda: model.stream([1]),
    ):
        with pytest.raises(NotLoadedError, match=r"only the tokenizer of .* load the model"):
            asked()


def test_what_only_transformers_can_tell(tmp_path: Path) -> None:
    llm = tiny_llm()
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    assert TokensOnly.load(str(tmp_path)) is not None
    config = json.loads((tmp_path / "config.json").read_text())
    for name, content in (
        ("config.json", json.dumps({k: v for k, v in config.items() if "position" not in k})),
        ("config.json", "[]"),
        ("config.json", json.dumps(config | {"max_position_embeddings": "many"})),
        ("tokenizer.json", "{}"),
    ):
        file = tmp_path / name
        before = file.read_text()
        file.write_text(content)
        assert TokensOnly.load(str(tmp_path)) is None
        file.write_text(before)
    (tmp_path / "tokenizer.json").unlink()
    assert TokensOnly.load(str(tmp_path)) is None
    with pytest.raises(ModelError, match="no model at"):
        TokensOnly.load(str(tmp_path / "none"))
