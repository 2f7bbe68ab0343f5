"""``s3-retriever index``: files into an index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from s3_retriever.cli.display import console, errors, progress_bar, visible, waiting
from s3_retriever.cli.opening import open_engine
from s3_retriever.cli.options import (
    DeviceOption,
    IndexOption,
    ModelOption,
    NamespaceOption,
    ProfileOption,
)
from s3_retriever.errors import InputError
from s3_retriever.readers import read_files, suffixes
from s3_retriever.storage.namespaces import namespace_folder
from s3_retriever.types import Document

if TYPE_CHECKING:
    from s3_retriever.engine import AddReport, Engine

__all__ = ["add_with_bar", "index"]


def index(
    paths: Annotated[
        list[Path],
        typer.Argument(help=f"Files and folders: {' '.join(suffixes())}"),
    ],
    folder: IndexOption,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Read files into an index; files that did not change are not read again."""
    with waiting("reading the files ..."):
        files = read_files(paths)
    for path, reason in files.skipped.items():
        errors.print(Text(f"skipped {visible(path)}: {reason}", "yellow"), soft_wrap=True)
    if not files.documents:
        raise InputError(
            f"nothing to index in {', '.join(map(str, paths))}; "
            f"kinds of files that can be read: {' '.join(suffixes())}"
        )
    folder = namespace_folder(folder, namespace)
    engine = open_engine(folder, profile, model, device, create=True)
    report, seconds = add_with_bar(engine, files.documents)
    skipped = len(files.skipped) + len(report.skipped)
    others = f" ({files.passed_over} of other kinds left alone)" if files.passed_over else ""
    console.print(
        f"{folder}: {len(report.added)} added, {len(report.updated)} updated, "
        f"{len(report.unchanged)} unchanged, {skipped} skipped{others}; "
        f"{read_in(report, seconds)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def add_with_bar(engine: Engine, documents: Sequence[Document]) -> tuple[AddReport, float]:
    """Add documents behind a bar; returns the report and the seconds it took.

    Raises:
        typer.Exit: 130 if the user interrupts, having said what is kept.
    """
    started = time.perf_counter()
    tokens = 0
    with progress_bar() as bar:
        task = bar.add_task("reading", total=max(_unread_characters(engine, documents), 1), note="")

        def report_progress(new_tokens: int, characters: int) -> None:
            nonlocal tokens
            tokens += new_tokens
            speed = tokens / (time.perf_counter() - started)
            bar.update(task, advance=characters, note=f"{speed:,.0f} tokens/s")

        try:
            report = engine.add(documents, on_progress=report_progress)
        except KeyboardInterrupt:
            bar.stop()
            errors.print(
                f"interrupted: {engine.index.folder} holds {len(engine)} documents; "
                "run the same command again to go on",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            raise typer.Exit(130) from None
        bar.update(task, completed=bar.tasks[0].total)
    return report, time.perf_counter() - started


def read_in(report: AddReport, seconds: float) -> str:
    """How much was read, and how fast."""
    if not report.tokens_scanned:
        return "no tokens to read"
    speed = report.tokens_scanned / seconds
    return f"{report.tokens_scanned:,} tokens read in {seconds:.1f} s ({speed:,.0f} tokens/s)"


def _unread_characters(engine: Engine, documents: Sequence[Document]) -> int:
    """Characters the model will have to read."""
    from s3_retriever.storage.segment_format import text_hash

    live = engine.index.snapshot.live
    return sum(
        len(d.text)
        for d in documents
        if d.id not in live or live[d.id][1].hash != text_hash(d.text)
    )
