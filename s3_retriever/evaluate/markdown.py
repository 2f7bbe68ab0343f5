"""Pieces of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["section", "table"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a cell is one line whatever it holds.

    Example:
        >>> table(["a", "b"], [["1", "two lines"]])
        ['| a | b |', '| --- | --- |', '| 1 | two lines |']
    """
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def section(title: str, text: str, *lines: str) -> list[str]:
    """A heading, a paragraph and what follows, each between empty lines."""
    return ["", f"## {title}", "", text, "", *lines]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
