"""``s3-retriever index``: files into an index."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.text import Text

from s3_retriever.cli.display import console, errors, progress_bar, waiting
from s3_retriever.cli.opening import (
    Place,
    open_documents,
    open_engine,
    place_of,
    shown,
    there_is,
)
from s3_retriever.cli.options import (
    DeviceOption,
    GpusOption,
    IndexOption,
    ModelOption,
    NamespaceOption,
    ProfileOption,
    RayOption,
    WorkersOption,
    ray_runner,
)
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, one_line
from s3_retriever.readers import FileChanges, changes_of, read_files, suffixes
from s3_retriever.types import Document, Metadata
from s3_retriever.validation import sort_out

if TYPE_CHECKING:
    from s3_retriever.encoding.runners import ScanRunner
    from s3_retriever.engine import AddReport, Engine
    from s3_retriever.storage.base import DocumentStore

__all__ = ["add_with_bar", "index"]


def index(
    paths: Annotated[
        list[Path],
        typer.Argument(help=f"Files and folders: {' '.join(suffixes())}"),
    ],
    folder: IndexOption,
    root: Annotated[
        Optional[Path],
        typer.Option(
            help="Ids are paths below this folder, and stay so if it moves. Default: they are "
            "absolute paths."
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(help="Remove documents of files below PATHS that are gone or stand twice."),
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen, and do nothing.")] = False,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    ray: RayOption = None,
    workers: WorkersOption = None,
    gpus_per_worker: GpusOption = None,
) -> None:
    """Read files into an index; files that did not change are not read again."""
    runner = ray_runner(ray, workers, gpus_per_worker)
    with waiting("reading the files ..."):
        files = read_files(paths, root=root)
    place = place_of(folder, namespace)
    where = shown(place)
    before = _documents_in(place, profile)
    changes = changes_of(files, before, paths, prune=prune)
    skipped = {**files.skipped, **changes.refused}
    for path, reason in skipped.items():
        errors.print(Text(f"skipped {brief(path)}: {reason}", "yellow"), soft_wrap=True)
    if not (changes.documents or changes.removed):
        if prune and before and not skipped:
            _say(f"{brief(where)}: nothing is gone, and there is nothing to add")
            return
        raise InputError(
            f"nothing to index in {', '.join(map(brief, paths))}; "
            f"kinds of files that can be read: {' '.join(suffixes())}"
        )
    if changes.superfluous:
        n = len(changes.superfluous)
        note = f"{n} documents of files that are gone, or stand twice; --prune removes them"
        errors.print(Text(note, "yellow"), soft_wrap=True)
    others = f" ({files.passed_over} of other kinds left alone)" if files.passed_over else ""
    if dry_run:
        there = open_documents(place, profile) if before else None
        _show_what_would_happen(where, changes, before, there, len(skipped), others)
        return
    if not changes.documents:  # which takes no model
        open_documents(place, profile).delete(changes.removed)
        _say(f"{brief(where)}: {_counts(0, 0, 0, len(skipped), changes)}{others}")
        return
    engine = open_engine(place, profile, model, device, create=True, first_layers=True)
    engine.documents.rename(changes.renamed)
    report, seconds = add_with_bar(engine, changes.documents, runner)
    if changes.removed:
        engine.delete(changes.removed)
    counts = _counts(
        len(report.added),
        len(report.updated),
        len(report.unchanged),
        len(skipped) + len(report.skipped),
        changes,
    )
    _say(f"{brief(where)}: {counts}{others}; {read_in(report, seconds)}")


def _documents_in(place: Place, profile: str | None) -> dict[str, Metadata]:
    """Metadata of what an index holds, by id; nothing is made where there is none."""
    if not there_is(place):
        return {}
    return dict(open_documents(place, profile).metadata())


def _show_what_would_happen(
    where: str,
    changes: FileChanges,
    before: Mapping[str, Metadata],
    there: DocumentStore | None,
    skipped: int,
    others: str,
) -> None:
    """The changes, one a line, and their counts."""
    for old, new in changes.renamed.items():
        _say(f"would rename {brief(old)} to {brief(new)}")
    now = {**before, **{new: before[old] for old, new in changes.renamed.items()}}
    found = sort_out(changes.documents)
    for which, reason in found.skipped.items():
        _say(f"would skip {brief(which)}: {reason}")
    added, updated, unchanged = [], [], []
    former = {new: old for old, new in changes.renamed.items()}
    asked = [replace(d, id=former.get(i, i)) for i, d in found.good.items()]
    known = there.known(asked) if there else set()
    for doc_id, document in found.good.items():
        if doc_id not in now:
            added.append(doc_id)
        elif former.get(doc_id, doc_id) not in known or now[doc_id] != document.metadata:
            updated.append(doc_id)
        else:
            unchanged.append(doc_id)
    for what, ids in (("add", added), ("update", updated), ("remove", changes.removed)):
        for doc_id in ids:
            _say(f"would {what} {brief(doc_id)}")
    n_skipped = skipped + len(found.skipped)
    counts = _counts(len(added), len(updated), len(unchanged), n_skipped, changes)
    _say(f"{brief(where)}: {counts}{others}, if this were no dry run")


def _counts(added: int, updated: int, unchanged: int, skipped: int, changes: FileChanges) -> str:
    parts = [f"{added} added", f"{updated} updated", f"{unchanged} unchanged", f"{skipped} skipped"]
    if changes.renamed:
        parts.append(f"{len(changes.renamed)} renamed")
    if changes.removed:
        parts.append(f"{len(changes.removed)} removed")
    return ", ".join(parts)


def _say(message: str) -> None:
    console.print(one_line(message), highlight=False, markup=False, soft_wrap=True)


def add_with_bar(
    engine: Engine, documents: Sequence[Document], runner: ScanRunner | None = None
) -> tuple[AddReport, float]:
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
            report = engine.add(documents, on_progress=report_progress, runner=runner)
        except KeyboardInterrupt:
            bar.stop()
            errors.print(
                f"interrupted: {brief(engine.documents.location)} holds {len(engine)} documents; "
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
    known = engine.documents.known(documents)
    return sum(len(d.text) for d in documents if d.id not in known)
