"""A bar is drawn on standard error when it is asked for, in a notebook without widgets too."""

from __future__ import annotations

import importlib.util

import pytest
from rich.console import Console

from s3_retriever import progress


def test_it_ends_at_a_hundred(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.reading_bar(["Hello.", "World"], show=True) as on_progress:
        on_progress(2, 6)
        on_progress(1, 5)
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("reading: 100%")
    assert "of 11 characters" in line


def test_nothing_to_read_and_nothing_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.reading_bar([], show=True):
        pass
    assert "reading:   0%" in capsys.readouterr().err
    with progress.reading_bar(["Hello."], show=False) as on_progress:
        on_progress(2, 6)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("widgets", [None, object()])
def test_a_notebook(monkeypatch: pytest.MonkeyPatch, widgets: object) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: widgets)
    console: Console = progress._console()
    assert console.is_jupyter == (widgets is not None)
    assert console.is_terminal == (widgets is None) or console.is_jupyter
    assert console.stderr
