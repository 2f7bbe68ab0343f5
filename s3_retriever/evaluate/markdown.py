"""Tables and intervals in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

__all__ = ["interval", "table"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a bar in a cell is escaped.

    Example:
        >>> table(["a", "b"], [["1", "2"]])
        ['| a | b |', '| --- | --- |', '| 1 | 2 |']
    """
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def interval(value: Mapping[str, float] | None) -> str:
    """A mean and its interval as :func:`~s3_retriever.evaluate.metrics.bootstrap` gives them.

    Example:
        >>> interval({"mean": 0.5, "low": 0.25, "high": 0.75})
        '0.500 (0.250 to 0.750)'
    """
    if value is None:
        return ""
    return f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
