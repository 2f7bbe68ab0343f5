"""The reranked order, with a tiny cross-encoder of random weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from s3_retriever_bench.methods import rerank
from s3_retriever_bench.methods.dense import Cosines
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.ranking import UnitRanking
from s3_retriever_bench.methods.rerank import Reranked
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    PreTrainedTokenizerFast,
)

from s3_retriever import Document, Engine
from s3_retriever.labels.collections import Collection

pytestmark = pytest.mark.usefixtures("no_hub")

QUESTION = "which cat sat"
TEXT = "The cat sat. A dog ran away. The bird flew over the sea. A cat slept. The fish swam."
COLLECTION = Collection((Document("a", TEXT),), ())


@pytest.fixture
def cross_encoder(tmp_path: Path) -> Path:
    """A BERT that reads pairs; its scores mean nothing, but they differ."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "."]
    names += sorted(set(f"{QUESTION} {TEXT}".replace(".", "").split()))
    tokenizer = Tokenizer(WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=64
    ).save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=1.0,
        num_labels=1,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    return tmp_path


def logits(folder: Path, texts: list[str]) -> list[float]:
    """The scores of pairs, one by one, by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [
            float(model(**tokenizer(QUESTION, text, return_tensors="pt")).logits) for text in texts
        ]


def test_the_order_is_that_of_the_cross_encoder(engine: Engine, cross_encoder: Path) -> None:
    dense = UnitRanking(engine, [Cosines])
    reranked = Reranked(engine, model=str(cross_encoder))
    dense.read(COLLECTION)
    reranked.read(COLLECTION)
    texts = [COLLECTION.text(place) for place in reranked.rank(QUESTION)]
    before = [COLLECTION.text(place) for place in dense.rank(QUESTION)]
    scores = logits(cross_encoder, texts)
    assert min(abs(a - b) for a, b in pairwise(scores)) > 1e-4  # no tie
    assert scores == sorted(scores, reverse=True)
    assert sorted(texts) == sorted(before)
    assert texts != before
    assert reranked.note == f"{dense.note}, best 100 reranked by {cross_encoder}"


def test_what_it_did_not_read_follows_in_the_dense_order(
    engine: Engine, cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank, "CANDIDATES", 2)
    dense = UnitRanking(engine, [Cosines])
    reranked = Reranked(engine, model=str(cross_encoder))
    dense.read(COLLECTION)
    reranked.read(COLLECTION)
    before, after = dense.rank(QUESTION), reranked.rank(QUESTION)
    assert after[2:] == before[2:]
    first, second = logits(cross_encoder, [COLLECTION.text(place) for place in before[:2]])
    assert after[:2] == (before[:2] if first > second else before[1::-1])


def test_chunks(engine: Engine, cross_encoder: Path) -> None:
    method = Reranked(engine, kind="chunks of 256 tokens", model=str(cross_encoder))
    method.read(COLLECTION)
    assert [COLLECTION.text(place) for place in method.rank(QUESTION)] == [TEXT]


def test_missing_weights_are_a_reason(engine: Engine) -> None:
    with pytest.raises(MethodUnavailable, match=r"no weights .* BAAI/bge-reranker-v2-m3"):
        Reranked(engine)
