"""The query adapter: its arithmetic, its file, and what it does to scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from s3_retriever.engine import Engine
from s3_retriever.errors import ProfileError
from s3_retriever.profiles.card import Head
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.query_adapter import ADAPTER_FILE, QueryAdapter
from s3_retriever.training.calibration.profiles import write_profile as copy_profile
from s3_retriever.types import Document
from tests.tiny import TEXT, tiny_llm, write_profile

HEADS = (Head(layer=2, head=1), Head(layer=1, head=4, weight=0.5))


def by_hand() -> QueryAdapter:
    """Head 0 moves dimension 0 to dimension 1, head 1 adds a bias."""
    down = torch.tensor([[[1.0], [0.0]], [[0.0], [0.0]]])
    up = torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]])
    return QueryAdapter(down, up, torch.tensor([[0.0, 0.0], [5.0, 0.0]]))


def test_maps_by_hand() -> None:
    queries = torch.tensor([[[3.0, 1.0], [3.0, 1.0]]])
    assert by_hand()(queries, [0, 1]).tolist() == [[[3.0, 7.0], [8.0, 1.0]]]
    assert by_hand()(queries[:, :1], [1]).tolist() == [[[8.0, 1.0]]]


def test_the_file_brings_it_back(tmp_path: Path) -> None:
    by_hand().save(tmp_path / ADAPTER_FILE)
    found = QueryAdapter.load(tmp_path / ADAPTER_FILE)
    assert all(
        torch.equal(a, b)
        for a, b in zip(vars(found).values(), vars(by_hand()).values(), strict=True)
    )


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"down": torch.zeros(2, 2, 1)}, "it holds"),
        ({"other": torch.zeros(1)}, "it holds"),
        ({**vars(by_hand()), "up": torch.zeros(2, 3, 2)}, "do not fit together"),
        ({**vars(by_hand()), "bias": torch.zeros(2, 2, dtype=torch.float16)}, "do not fit"),
    ],
)
def test_other_files_are_refused(
    tensors: dict[str, torch.Tensor], said: str, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / ADAPTER_FILE)
    with pytest.raises(ProfileError, match=said):
        QueryAdapter.load(tmp_path / ADAPTER_FILE)


def test_damage_is_refused(tmp_path: Path) -> None:
    llm = tiny_llm()
    (tmp_path / "a").mkdir()
    write_profile(tmp_path / "a", llm, sites=((1, (0, 1)), (2, (1, 0))))
    adapter = QueryAdapter.identity(n_heads=2, head_dim=10, rank=1)
    copy_profile(str(tmp_path / "a"), tmp_path / "b", heads=HEADS, adapter=adapter)
    file = tmp_path / "b" / ADAPTER_FILE
    QueryAdapter.identity(n_heads=2, head_dim=10, rank=1, seed=1).save(file)
    with pytest.raises(ProfileError, match="is not the one"):
        Profile.load(tmp_path / "b")
    file.write_bytes(b"nothing")
    with pytest.raises(ProfileError, match="cannot be read"):
        Profile.load(tmp_path / "b")


def test_retrieval_uses_it(tmp_path: Path) -> None:
    llm = tiny_llm()
    write_profile(tmp_path, llm, sites=((1, (0, 1)), (2, (1, 0))))
    plain = Profile.load(tmp_path)
    plain = replace(plain, card=plain.card.model_copy(update={"heads": HEADS}))
    identity = QueryAdapter.identity(n_heads=2, head_dim=10, rank=3)
    bent = replace(identity, bias=torch.full((2, 10), 3.0))

    def scores(adapter: QueryAdapter | None) -> list[float]:
        engine = Engine(llm, replace(plain, adapter=adapter))
        engine.add([Document("d", TEXT)])
        (span, *_) = engine.retrieve("When?", k=1, mode="features", token_scores=True)
        return [token.score for token in span.tokens]

    assert np.allclose(scores(identity), scores(None))
    assert not np.allclose(scores(bent)[:4], scores(None)[:4])
