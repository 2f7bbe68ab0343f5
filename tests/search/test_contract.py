"""Tantivy passes the suite for engines that live in the index's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever.search.base import BlockIndex
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.testing.documents import N_HOOKPOINTS, N_LATENTS
from s3_retriever.testing.search import BlockIndexContract


class TestInMemory(BlockIndexContract):
    @pytest.fixture
    def index(self) -> BlockIndex:
        return TantivyIndex.open(None, N_HOOKPOINTS, N_LATENTS)


class TestOnDisk(BlockIndexContract):
    @pytest.fixture
    def index(self, tmp_path: Path) -> BlockIndex:
        return TantivyIndex.open(tmp_path, N_HOOKPOINTS, N_LATENTS, create=True)
