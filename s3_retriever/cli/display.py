"""What the command line shows: bars, tables, highlighted spans."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["console", "progress_bar"]

console = Console()
"""Results go to standard output."""

errors = Console(stderr=True)
"""Bars and errors go to standard error, so that --json stays clean."""


def progress_bar() -> Progress:
    """A bar with a note, e.g. tokens per second."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
    )
