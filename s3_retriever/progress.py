"""A progress bar, in a terminal, a log file or a notebook."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["progress_bar", "reading_bar"]


def progress_bar(console: Console) -> Progress:
    """A bar of rich; its tasks have a ``note``, e.g. tokens per second.

    Args:
        console: where it is drawn; one that is no terminal shows its last state only.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}: {task.percentage:>3.0f}%"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


@contextmanager
def reading_bar(texts: Sequence[str], *, show: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar over the characters of ``texts``; its callback is ``on_progress`` of ``add``.

    Args:
        texts: what is about to be read.
        show: ``False`` draws nothing.

    Example:
        >>> with reading_bar(["Hello."], show=False) as on_progress:
        ...     on_progress(2, 6)
    """
    if not show:
        yield lambda tokens, characters: None
        return
    total = sum(map(len, texts))
    with progress_bar(_console()) as bar:
        task = bar.add_task("reading", total=max(total, 1), note=f"of {total:,} characters")
        yield lambda tokens, characters: bar.advance(task, characters)


def _console() -> Console:
    """Standard error, as a notebook shows it too."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter and importlib.util.find_spec("ipywidgets") is None:
        # rich draws in widgets or not at all, but one line that is written anew needs none
        return Console(stderr=True, force_jupyter=False, force_terminal=True)
    return console
