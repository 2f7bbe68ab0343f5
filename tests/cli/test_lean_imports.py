"""Large libraries are left out while a model is imported, and are there afterwards."""

from __future__ import annotations

import sys

import pytest

from s3_retriever.cli.lean_imports import lean_imports
from tests.cli.conftest import Setup
from tests.cli.test_light_commands import loaded_of


def test_what_was_imported_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", sys)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    with lean_imports():
        assert sys.modules["sklearn"] is sys
        with pytest.raises(ModuleNotFoundError):
            import pandas  # noqa: F401
    assert sys.modules["sklearn"] is sys
    assert "pandas" not in sys.modules


def test_they_come_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "scipy", raising=False)
    with pytest.raises(KeyError), lean_imports():
        raise KeyError
    assert "scipy" not in sys.modules


def test_a_search_goes_without(setup: Setup) -> None:
    pytest.importorskip("sklearn")
    arguments = ["search", "Why?", "--mode", "fast", "--index", setup.index, *setup.resident]
    assert "transformers" in loaded_of(setup.index, ["transformers"], *arguments)
    assert loaded_of(setup.index, ["sklearn", "pandas", "scipy.stats"], *arguments) == "loaded:"
