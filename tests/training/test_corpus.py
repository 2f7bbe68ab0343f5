"""Keys collected for training are those of a scan, and are collected once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.settings import ScanSettings
from s3_retriever.training import corpus
from s3_retriever.training.corpus import collect_keys, read_corpus
from tests.tiny import TEXT, tiny_llm

pytestmark = pytest.mark.usefixtures("one_thread")

PREFIX = "Document:\n"
OTHER = TEXT.replace("1887", "?").replace("1911", "1887").replace("?", "1911")
"""As many tokens."""
SCAN = ScanSettings(chunk_tokens=24, batch_tokens=100)
SITES = [(2, (0, 1)), (0, (1,))]


@pytest.fixture
def tiny() -> TransformersModel:
    return tiny_llm()


def collect(
    llm: TransformersModel, folder: Path, text: str = TEXT, **changes: Any
) -> list[np.ndarray]:
    arguments = {"prefix": PREFIX, "bos": False, "scan": SCAN, "max_tokens": None, **changes}
    return collect_keys(llm, text, SITES, folder, **arguments)


def by_hand(llm: TransformersModel, text: str) -> list[np.ndarray]:
    """Keys of ``SITES`` chunk by chunk, each chunk alone behind the prefix."""
    before = llm.tokenize(PREFIX).ids
    ids = llm.tokenize(text).ids
    rows: list[list[torch.Tensor]] = [[], []]
    for start in range(0, len(ids), 24):
        chunk = np.concatenate([before, ids[start : start + 24]])
        found = llm.project([chunk], [0, 2]).keys
        for site, (layer, heads) in zip(rows, SITES, strict=True):
            site.append(found[layer][0, len(before) :, list(heads)].flatten(1))
    return [torch.cat(site).half().numpy() for site in rows]


def test_rows_are_the_keys_of_each_token(tiny: TransformersModel, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = collect(tiny, tmp_path, on_tokens=lambda done, total: told.append((done, total)))
    n = tiny.count_tokens(TEXT)
    assert n % 24  # the last chunk is shorter
    assert [(a.shape, a.dtype) for a in found] == [((n, 20), np.float16), ((n, 10), np.float16)]
    for array, expected in zip(found, by_hand(tiny, TEXT), strict=True):
        np.testing.assert_allclose(array, expected, rtol=2e-3, atol=2e-3)
    assert told[-1] == (n, n) and len(told) > 1
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def forbid_reading(llm: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_keys(*_: Any, **__: Any) -> None:
        raise InterruptedError

    monkeypatch.setattr(llm, "read_keys", read_keys)


def test_collected_keys_are_used_again(
    tiny: TransformersModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [np.array(a) for a in collect(tiny, tmp_path)]
    forbid_reading(tiny, monkeypatch)
    for array, expected in zip(collect(tiny, tmp_path), first, strict=True):
        assert np.array_equal(array, expected)


@pytest.mark.parametrize("changed", ["text", "prefix", "chunks", "tokens", "model", "dtype"])
def test_keys_of_something_else_are_not_used(
    tiny: TransformersModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    collect(tiny, tmp_path)
    forbid_reading(tiny, monkeypatch)
    arguments: dict[str, Any] = {}
    if changed == "text":
        arguments["text"] = OTHER
        assert tiny.count_tokens(OTHER) == tiny.count_tokens(TEXT)
    elif changed == "prefix":
        arguments["prefix"] = "Text:\n"
    elif changed == "chunks":
        arguments["scan"] = ScanSettings(chunk_tokens=20, batch_tokens=100)
    elif changed == "tokens":
        arguments["max_tokens"] = 50
    elif changed == "model":
        tiny.name = "another"
    else:
        tiny.model.bfloat16()
    with pytest.raises(InterruptedError):
        collect(tiny, tmp_path, **arguments)


def test_a_scan_that_stopped_half_way_starts_again(
    tiny: TransformersModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [np.array(a) for a in collect(tiny, tmp_path)]

    def stop(done: int, _: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):  # its arrays lie over those of the first text
        collect(tiny, tmp_path, text=OTHER, on_tokens=stop)
    for array, expected in zip(collect(tiny, tmp_path), first, strict=True):
        assert np.array_equal(array, expected)


def test_max_tokens_takes_chunks_from_all_over_the_text(
    tiny: TransformersModel, tmp_path: Path
) -> None:
    text = TEXT * 6
    whole = by_hand(tiny, text)[0]
    n = len(whole)
    found = collect(tiny, tmp_path, text=text, max_tokens=100)[0]
    assert 60 < len(found) <= 100
    chunks = [found[at : at + 24] for at in range(0, len(found), 24)]
    places = []
    for chunk in chunks:
        distances = [
            np.abs(whole[at : at + len(chunk)] - chunk).max()
            for at in range(0, n, 24)
            if at + len(chunk) <= n
        ]
        assert min(distances) < 5e-3
        places.append(int(np.argmin(distances)))
    assert places[0] == 0
    assert places[-1] >= n // 24 - 1
    gaps = np.diff(places)
    assert gaps.min() >= gaps.max() - 1
    assert len(collect(tiny, tmp_path, text=text, max_tokens=10**9)[0]) == n


def test_padding_and_prefix_count_towards_a_batch(
    tiny: TransformersModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = tiny.read_keys

    def read_keys(chunks: Any, layers: Any, prefix: Any) -> Any:
        sizes.append(len(chunks) * (len(prefix) + max(map(len, chunks))))
        return original(chunks, layers, prefix)

    monkeypatch.setattr(tiny, "read_keys", read_keys)
    collect(tiny, tmp_path, text=TEXT * 4)
    assert max(sizes) <= 100
    assert max(sizes) > 50  # several chunks together


def test_long_texts_are_tokenised_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_PIECE", 10)
    text = "ab\ncd\nefghijklmnopqrstuvwxyz\n\nx"
    pieces = list(corpus._pieces(text))
    assert pieces == ["ab\ncd\n", "efghijklmn", "opqrstuvwx", "yz\n\nx"]
    assert list(corpus._pieces("")) == []


# Files


def test_corpus_files_are_joined(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("één", encoding="utf-8")
    (tmp_path / "b").write_text("two", encoding="utf-8")
    assert read_corpus([tmp_path / "a", tmp_path / "b"]) == "één\n\ntwo"


def test_unreadable_corpus_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "empty").write_text(" \n")
    for name in ("latin", "missing"):
        with pytest.raises(InputError, match=f"{name} cannot be read as UTF-8"):
            read_corpus([tmp_path / "empty", tmp_path / name])
    with pytest.raises(InputError, match="corpus is empty"):
        read_corpus([tmp_path / "empty"])


def test_the_marker_is_written_last(tiny: TransformersModel, tmp_path: Path) -> None:
    def look(done: int, total: int) -> None:
        assert not (tmp_path / "keys.json").exists()

    collect(tiny, tmp_path, on_tokens=look)
    marker = json.loads((tmp_path / "keys.json").read_text())
    assert marker["prefix"] == tiny.tokenize(PREFIX).ids.tolist()
