"""Pieces of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

__all__ = ["interval", "section", "table"]


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


def interval(value: Mapping[str, float] | None, digits: int = 3) -> str:
    """A mean and its interval, as :func:`~s3_retriever.labels.metrics.bootstrap` gives them.

    Example:
        >>> interval({"mean": 0.5, "low": 0.25, "high": 0.75})
        '0.500 (0.250 to 0.750)'
    """
    if value is None:
        return ""
    return f"{value['mean']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
