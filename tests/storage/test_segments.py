"""Segment files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from s3_retriever.errors import IndexStorageError
from s3_retriever.storage.segment_format import BLOCK_TOKENS, text_hash
from s3_retriever.storage.segments import Segment
from tests.damage import overwrite
from tests.storage.conftest import HOOKPOINTS, N_LATENTS, code

TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80), min_size=1
)


@given(TEXTS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, texts: list[str]) -> None:
    coded = [code(f"d{i}", text, seed=i, n=i) for i, text in enumerate(texts)]
    segment = Segment.build("s", coded, N_LATENTS)
    segment.write(tmp_path / "s.safetensors")
    again = Segment.open(tmp_path / "s.safetensors")
    assert again.n_tokens == sum(len(c) for c in coded)
    for entry, item in zip(again.entries, coded, strict=True):
        assert again.text(entry) == item.document.text
        assert entry.metadata == item.document.metadata
        assert entry.hash == text_hash(item.document.text)
        back = again.encoded(entry)
        assert np.array_equal(back.bounds.sentences, item.bounds.sentences)
        assert np.array_equal(back.bounds.paragraphs, item.bounds.paragraphs)
        assert np.array_equal(back.ids, item.ids)
        assert np.array_equal(back.activations, item.activations)
        assert np.array_equal(back.starts, item.starts)
        assert np.array_equal(back.ends, item.ends)
        for start, end in zip(back.starts, back.ends, strict=True):
            assert 0 <= start <= end <= len(item.document.text)


def test_document_frequencies_count_tokens() -> None:
    item = code("d", "one two three")
    segment = Segment.build("s", [item], N_LATENTS)
    expected = np.zeros((HOOKPOINTS, N_LATENTS), int)
    for token in item.ids:
        for hookpoint, latents in enumerate(token):
            for latent in latents:
                expected[hookpoint, latent] += 1
    assert np.array_equal(segment.df, expected)


def test_blocks_never_cross_documents() -> None:
    texts = ["w " * (BLOCK_TOKENS + 1), "w " * 3, "w " * (2 * BLOCK_TOKENS)]
    segment = Segment.build("s", [code(f"d{i}", t) for i, t in enumerate(texts)], N_LATENTS)
    assert [e.n_blocks for e in segment.entries] == [2, 1, 2]
    assert [e.first_block for e in segment.entries] == [0, 2, 3]
    assert segment.block_owner.tolist() == [0, 0, 1, 2, 2]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "s.safetensors"
    Segment.build("s", [code("a", "some text"), code("b", "more")], N_LATENTS).write(path)
    return path


def test_no_temporary_file_stays(written: Path) -> None:
    assert [p.name for p in written.parent.iterdir()] == ["s.safetensors"]


def test_missing_truncated_foreign(written: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexStorageError, match="doctor"):
        Segment.open(tmp_path / "nothing.safetensors")
    whole = written.read_bytes()
    for size in (0, 4, len(whole) // 2, len(whole) - 1):
        overwrite(written, whole[:size])
        with pytest.raises(IndexStorageError):
            Segment.open(written)
    save_file({"weights": np.zeros(3)}, written)
    with pytest.raises(IndexStorageError, match="instead of"):
        Segment.open(written)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        ("starts", np.zeros(99, np.uint32)),
        ("ids", np.zeros((2, 2), np.uint16)),
        ("text", np.zeros(1, np.uint8)),
        ("documents", np.frombuffer(b"[3]", np.uint8)),
        ("documents", np.frombuffer(b"not json", np.uint8)),
        ("starts", np.zeros(3, np.float64)),
    ],
)
def test_a_crafted_file_is_refused(written: Path, array: str, value: np.ndarray) -> None:
    arrays = load_file(written)
    save_file({**arrays, array: value.copy()}, written)
    with pytest.raises(IndexStorageError):
        Segment.open(written)
