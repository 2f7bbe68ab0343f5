"""The autoencoder by hand, its files, and sparsify as the oracle of both."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from s3_retriever.errors import ProfileError
from s3_retriever.profiles.autoencoder import Codes, TopKSae, fvu
from s3_retriever.profiles.query_adapter import QueryAdapter


def by_hand() -> TopKSae:
    """Two dimensions, four latents, two active; all weights chosen."""
    sae = TopKSae(d_in=2, n_latents=4, k=2)
    with torch.no_grad():
        sae.b_dec.copy_(torch.tensor([1.0, -1.0]))
        sae.encoder.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1.0]]))
        sae.encoder.bias.copy_(torch.tensor([0.0, 0.5, 0.0, -4.0]))
        sae.W_dec.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]]))
    return sae


def test_encode_and_decode_by_hand() -> None:
    sae = by_hand()
    x = torch.tensor([[4.0, 1.0], [-2.0, -3.0]])
    # x - b_dec = (3, 2) and (-3, -2)
    # encoder: (3, 2.5, -3, 1) and (-3, -1.5, 3, -9); negative ones become 0
    expected = torch.tensor([[3.0, 2.5, 0.0, 1.0], [0.0, 0.0, 3.0, 0.0]])
    assert torch.equal(sae.preactivations(x), expected)
    codes = sae.encode(x)
    assert codes.activations.tolist() == [[3.0, 2.5], [3.0, 0.0]]
    assert codes.ids[0].tolist() == [0, 1]
    assert codes.ids[1, 0] == 2
    # 3 (1, 0) + 2.5 (0, 1) + b_dec, and 3 (-1, 0) + b_dec
    assert sae(x).tolist() == [[4.0, 1.5], [-2.0, -1.0]]
    picked = Codes(torch.tensor([[10.0, 1.0]]), torch.tensor([[3, 3]]))
    torch.testing.assert_close(sae.decode(picked), torch.tensor([[7.6, 7.8]]))


def test_fvu_by_hand() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 4.0]])  # variance 1 + 1 + 4 + 4
    assert fvu(x, torch.tensor([[0.0, 1.0], [2.0, 2.0]])).item() == 0.5
    assert fvu(x, x.mean(0).expand(2, 2)).item() == 1.0
    assert fvu(x, x).item() == 0.0


def test_decoder_rows_are_brought_to_unit_norm() -> None:
    sae = by_hand()
    with torch.no_grad():
        sae.W_dec.mul_(torch.tensor([[3.0], [0.1], [1.0], [0.0]]))
    sae.normalize_decoder()
    assert sae.W_dec.norm(dim=1).tolist() == pytest.approx([1, 1, 1, 0])
    torch.testing.assert_close(TopKSae(8, 16, 2).W_dec.norm(dim=1), torch.ones(16))


@pytest.mark.parametrize("k", [0, -1, 5])
def test_k_must_fit(k: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the 4 latents"):
        TopKSae(2, 4, k)


# Files


def test_files_hold_float16_of_the_weights(tmp_path: Path) -> None:
    sae = TopKSae(d_in=6, n_latents=20, k=3)
    sae.save(tmp_path / "a" / "b")
    stored = load_file(tmp_path / "a" / "b" / "sae.safetensors")
    assert {n: (t.dtype, tuple(t.shape)) for n, t in stored.items()} == {
        "encoder.weight": (torch.float16, (20, 6)),
        "encoder.bias": (torch.float16, (20,)),
        "W_dec": (torch.float16, (20, 6)),
        "b_dec": (torch.float16, (6,)),
    }
    loaded = TopKSae.load(tmp_path / "a" / "b")
    assert (loaded.d_in, loaded.n_latents, loaded.k) == (6, 20, 3)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    for name, tensor in sae.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def damage(folder: Path, how: str) -> None:
    weights, config = folder / "sae.safetensors", folder / "cfg.json"
    record = json.loads(config.read_text())
    if how == "no weights":
        weights.unlink()
    elif how == "no configuration":
        config.unlink()
    elif how == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-7])
    elif how == "empty weights":
        weights.write_bytes(b"")
    elif how == "other tensors":
        save_file({"encoder.weight": torch.zeros(4, 2)}, weights)
    elif how == "truncated configuration":
        config.write_text(config.read_text()[:20])
    elif how == "no object":
        config.write_text("[1]")
    elif how == "not UTF-8":
        config.write_bytes(b"\xff\xfe")
    elif how == "no width":
        config.write_text(json.dumps({n: v for n, v in record.items() if n != "d_in"}))
    else:
        name, _, value = how.partition("=")
        config.write_text(json.dumps({**record, name: json.loads(value)}))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no weights", r"missing.*sae\.safetensors"),
        ("no configuration", r"missing.*cfg\.json"),
        ("truncated weights", "damaged"),
        ("empty weights", "damaged"),
        ("other tensors", "damaged or of another kind"),
        ("truncated configuration", "damaged"),
        ("no object", "damaged"),
        ("not UTF-8", "damaged"),
        ("no width", "d_in"),
        ("d_in=3", "damaged or of another kind"),
        ("num_latents=5", "damaged or of another kind"),
        ("num_latents=20000000", "cfg.json says"),  # before 3 GB are made for them
        ("num_latents=1000000000000000", "cfg.json says"),
        ("d_in=1000000000000", "cfg.json says"),
        ("k=1000000000000", "k must be between 1"),
        ("num_latents=-1", "cfg.json says"),
        ("k=1e400", "damaged"),
        ("num_latents=NaN", "damaged"),
        ("k=0", "k must be between 1"),
        ('k="many"', "damaged"),
        ('activation="groupmax"', "no plain Top-K"),
        ("skip_connection=true", "no plain Top-K"),
        ("transcode=true", "no plain Top-K"),
    ],
)
def test_a_damaged_or_foreign_folder(tmp_path: Path, how: str, message: str) -> None:
    by_hand().save(tmp_path)
    damage(tmp_path, how)
    with pytest.raises(ProfileError, match=message):
        TopKSae.load(tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["encoder.weight", "encoder.bias", "W_dec", "b_dec"])
def test_numbers_that_are_none(tmp_path: Path, name: str, number: float) -> None:
    sae = by_hand()
    with torch.no_grad():
        sae.state_dict()[name].view(-1)[-1] = number
    sae.save(tmp_path)
    with pytest.raises(ProfileError, match=f"{name}: not all numbers are finite"):
        TopKSae.load(tmp_path)


# Sparsify


@pytest.fixture
def sparsify(monkeypatch: pytest.MonkeyPatch) -> Any:
    # it takes triton for a GPU; this is read when it is imported first
    monkeypatch.setenv("SPARSIFY_DISABLE_TRITON", "1")
    return pytest.importorskip("sparsify")


def random_sae() -> TopKSae:
    """All parameters random and exact in float16."""
    torch.manual_seed(0)
    sae = TopKSae(d_in=12, n_latents=96, k=5)
    with torch.no_grad():
        sae.encoder.bias.normal_(std=0.1)
        sae.b_dec.normal_()
        for parameter in sae.parameters():
            parameter.copy_(parameter.half().float())
    return sae


def check_alike(ours: TopKSae, theirs: Any, x: torch.Tensor) -> None:
    """Same codes and same reconstruction."""
    codes = ours.encode(x)
    found = theirs.encode(x)
    order = found.top_acts.argsort(dim=-1, descending=True)
    torch.testing.assert_close(codes.activations, found.top_acts.gather(1, order))
    assert torch.equal(codes.ids, found.top_indices.gather(1, order))
    torch.testing.assert_close(ours(x), theirs.decode(found.top_acts, found.top_indices))


@torch.no_grad()
def test_sparsify_reads_our_files(tmp_path: Path, sparsify: Any) -> None:
    sae = random_sae()
    sae.save(tmp_path)
    theirs = sparsify.SparseCoder.load_from_disk(tmp_path)
    assert theirs.dtype == torch.float16
    assert (theirs.d_in, theirs.num_latents, theirs.cfg.k) == (12, 96, 5)
    check_alike(sae, theirs.float(), torch.randn(50, 12))


@torch.no_grad()
@pytest.mark.parametrize("named", ["latents", "expansion"])
def test_we_read_sparsifys_files(tmp_path: Path, sparsify: Any, named: str) -> None:
    torch.manual_seed(0)
    size = {"num_latents": 96} if named == "latents" else {"expansion_factor": 8}
    theirs = sparsify.SparseCoder(12, sparsify.SparseCoderConfig(k=5, **size))
    theirs.b_dec.normal_()
    theirs.encoder.bias.normal_(std=0.1)
    theirs.save_to_disk(tmp_path)
    ours = TopKSae.load(tmp_path)
    assert ours.n_latents == 96
    x = torch.randn(50, 12)
    check_alike(ours, theirs, x)
    torch.testing.assert_close(fvu(x, ours(x)), theirs(x).fvu)


def test_a_transcoder_of_sparsify_is_refused(tmp_path: Path, sparsify: Any) -> None:
    config = sparsify.SparseCoderConfig(k=5, num_latents=96, transcode=True)
    sparsify.SparseCoder(12, config).save_to_disk(tmp_path)
    with pytest.raises(ProfileError, match="no plain Top-K"):
        TopKSae.load(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_files_are_for_whom_the_umask_lets_in(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        TopKSae(8, 16, 2).save(tmp_path / "sae")
        adapter = QueryAdapter.identity(n_heads=1, head_dim=8, rank=2)
        adapter.save(tmp_path / "sae" / "adapter.safetensors")
    finally:
        os.umask(before)
    for path in (tmp_path / "sae").iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask, path
