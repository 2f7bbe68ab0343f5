"""``s3-retriever index``: files into an index."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.text import Text

from s3_retriever.cli.display import console, errors, progress_bar, waiting
from s3_retriever.cli.opening import open_engine, there_is
from s3_retriever.cli.options import (
    DeviceOption,
    GpusOption,
    ModelOption,
    NamespaceOption,
    ProfileOption,
    RayOption,
    ServedOption,
    UrlOption,
    WorkersOption,
    ray_runner,
)
from s3_retriever.cli.serving import Index, index_of, is_client
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, one_line
from s3_retriever.readers import FileChanges, changes_of, read_files
from s3_retriever.types import AddReport, Document, Metadata
from s3_retriever.validation import sort_out

if TYPE_CHECKING:
    from s3_retriever.client import Client
    from s3_retriever.encoding.runners import ScanRunner
    from s3_retriever.engine import Engine
    from s3_retriever.storage.base import DocumentStore

__all__ = ["add_with_bar", "index"]

_KINDS = "text, HTML, PDF, Word, PowerPoint, EPUB, mail, CSV, JSON, code"


def index(
    paths: Annotated[
        list[Path],
        typer.Argument(help=f"Files and folders: {_KINDS}."),
    ],
    folder: ServedOption = None,
    url: UrlOption = None,
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
    local = (model, device, ray)
    where = index_of(
        folder, url, namespace, profile, local=local, finding=not dry_run, writing=True
    )
    if dry_run and where.place is None:
        raise InputError("--dry-run compares texts with those of an --index; with --url it cannot")
    with waiting("reading the files ..."):
        files = read_files(paths, root=root)
    store = _store_of(where, profile)
    before = dict(store.metadata()) if store is not None else {}
    changes = changes_of(files, before, paths, prune=prune)
    skipped = {**files.skipped, **changes.refused}
    for path, reason in skipped.items():
        _warn(f"skipped {brief(path)}: {reason}")
    for path, note in files.notes.items():
        _warn(f"note {brief(path)}: {note}")
    for path, kind in files.passed_over.items():
        errors.print(Text(f"left alone {brief(path)}: {kind}", "dim"), soft_wrap=True)
    if not (changes.documents or changes.removed):
        if prune and before and not skipped:
            _say(f"{brief(where.name)}: nothing is gone, and there is nothing to add")
            return
        raise InputError(
            f"nothing to index in {', '.join(map(brief, paths))}; "
            f"kinds of files that can be read: {_KINDS}"
        )
    if changes.superfluous:
        n = len(changes.superfluous)
        _warn(f"{n} documents of files that are gone, or stand twice; --prune removes them")
    others = f" ({len(files.passed_over)} left alone)" if files.passed_over else ""
    news = _news_of(changes, before, store)
    if dry_run:
        _show_what_would_happen(news, changes)
        counts = _counts(news, changes, len(skipped))
        _say(f"{brief(where.name)}: {counts}{others}, if this were no dry run")
        return
    for which, reason in news.skipped.items():
        _warn(f"skipped {brief(which)}: {reason}")
    report, seconds = AddReport(), 0.0
    if news.unread:
        report, seconds = where.asking(
            lambda engine: _read(engine, store, news, changes, runner),
            lambda place: open_engine(
                place, profile, model, device, create=True, first_layers=True
            ),
        )
    elif store is not None:  # no model is needed
        if not is_client(store):
            store.rename(changes.renamed)
        store.update_metadata({i: news.documents[i].metadata for i in news.relabelled})
    if changes.removed and (store := _store_of(where, profile)) is not None:
        store.delete(changes.removed)
    counts = _counts(news.with_report(report), changes, len(skipped))
    _say(f"{brief(where.name)}: {counts}{others}; {read_in(report, seconds)}")


@dataclass(frozen=True)
class _News:
    """What is new in files, compared with an index; documents by their new ids."""

    documents: Mapping[str, Document]
    added: tuple[str, ...]
    updated: tuple[str, ...]
    """Of these, the text of some is as it was."""
    unchanged: tuple[str, ...]
    skipped: Mapping[str, str]
    """The reason against each that cannot be kept."""
    relabelled: tuple[str, ...] = ()
    """Those that are updated in their metadata alone."""

    @property
    def changed(self) -> list[Document]:
        """What is not there as it is now."""
        return [self.documents[i] for i in (*self.added, *self.updated)]

    @property
    def unread(self) -> bool:
        """Whether there is something for a model to read."""
        return len(self.added) + len(self.updated) > len(self.relabelled)

    def with_report(self, report: AddReport) -> _News:
        """The same as it came out, which others may have had a part in."""
        if not self.unread:
            return self
        return replace(
            self,
            added=report.added,
            updated=report.updated,
            unchanged=(*self.unchanged, *report.unchanged),
            skipped={**self.skipped, **report.skipped},
        )


def _store_of(where: Index, profile: str | None) -> DocumentStore | Client | None:
    """The documents; nothing is made where there are none."""
    if where.place is not None and not there_is(where.place):
        return None
    return where.documents(profile)


def _news_of(
    changes: FileChanges, before: Mapping[str, Metadata], store: DocumentStore | Client | None
) -> _News:
    """What the documents of files are to an index.

    A server's texts are not fetched to be compared: of what it has, everything may have changed.
    """
    now = {**before, **{new: before[old] for old, new in changes.renamed.items()}}
    former = {new: old for old, new in changes.renamed.items()}
    found = sort_out(changes.documents)
    known: set[str] = set()
    if store is not None and not is_client(store):
        asked = [replace(d, id=former.get(i, i)) for i, d in found.good.items()]
        there = store.known(asked)
        known = {i for i in found.good if former.get(i, i) in there}
    kinds: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": [], "relabelled": []}
    for doc_id, document in found.good.items():
        if doc_id not in now:
            kinds["added"].append(doc_id)
            continue
        same = now[doc_id] == document.metadata
        kinds["unchanged" if doc_id in known and same else "updated"].append(doc_id)
        if doc_id in known and not same:
            kinds["relabelled"].append(doc_id)
    return _News(
        found.good, skipped=found.skipped, **{kind: tuple(ids) for kind, ids in kinds.items()}
    )


def _read(
    engine: Engine | Client,
    store: DocumentStore | Client | None,
    news: _News,
    changes: FileChanges,
    runner: ScanRunner | None,
) -> tuple[AddReport, float]:
    """Have what is new read, renaming what only stands under another id now."""
    if store is not None and not is_client(store):
        store.rename(changes.renamed)
    return add_with_bar(engine, news.changed, runner)


def _show_what_would_happen(news: _News, changes: FileChanges) -> None:
    """The changes, one a line."""
    for old, new in changes.renamed.items():
        _say(f"would rename {brief(old)} to {brief(new)}")
    for which, reason in news.skipped.items():
        _say(f"would skip {brief(which)}: {reason}")
    kinds = (("add", news.added), ("update", news.updated), ("remove", changes.removed))
    for what, ids in kinds:
        for doc_id in ids:
            _say(f"would {what} {brief(doc_id)}")


def _counts(news: _News, changes: FileChanges, skipped: int) -> str:
    parts = [
        f"{len(news.added)} added",
        f"{len(news.updated)} updated",
        f"{len(news.unchanged)} unchanged",
        f"{skipped + len(news.skipped)} skipped",
    ]
    if changes.renamed:
        parts.append(f"{len(changes.renamed)} renamed")
    if changes.removed:
        parts.append(f"{len(changes.removed)} removed")
    return ", ".join(parts)


def _say(message: str) -> None:
    console.print(one_line(message), highlight=False, markup=False, soft_wrap=True)


def _warn(message: str) -> None:
    errors.print(Text(one_line(message), "yellow"), soft_wrap=True)


def add_with_bar(
    engine: Engine | Client, documents: Sequence[Document], runner: ScanRunner | None = None
) -> tuple[AddReport, float]:
    """Add documents behind a bar; returns the report and the seconds it took.

    Raises:
        typer.Exit: 130 if the user interrupts, having said what is kept.
    """
    started = time.perf_counter()
    tokens = 0
    with progress_bar() as bar:
        total = sum(len(d.text) for d in documents)
        if not is_client(engine):  # what a server has read already, it knows
            known = engine.documents.known(documents)
            total -= sum(len(d.text) for d in documents if d.id in known)
        task = bar.add_task("reading", total=max(total, 1), note="")

        def report_progress(new_tokens: int, characters: int) -> None:
            nonlocal tokens
            tokens += new_tokens
            speed = tokens / (time.perf_counter() - started)
            bar.update(task, advance=characters, note=f"{speed:,.0f} tokens/s")

        try:
            if is_client(engine):
                report = engine.add(documents, on_progress=report_progress)
            else:
                report = engine.add(documents, on_progress=report_progress, runner=runner)
        except KeyboardInterrupt:
            bar.stop()
            _warn(_interrupted(engine))
            raise typer.Exit(130) from None
        bar.update(task, completed=bar.tasks[0].total)
    return report, time.perf_counter() - started


def _interrupted(engine: Engine | Client) -> str:
    if is_client(engine):
        return (
            f"interrupted: the server at {engine.url} goes on with what it was given; the same "
            "command gives it the rest"
        )
    return (
        f"interrupted: what was read is kept; {brief(engine.documents.location)} holds "
        f"{len(engine)} documents; run the same command again to go on"
    )


def read_in(report: AddReport, seconds: float) -> str:
    """How much was read, and how fast."""
    if not report.tokens_scanned:
        return "no tokens to read"
    speed = report.tokens_scanned / seconds
    return f"{report.tokens_scanned:,} tokens read in {seconds:.1f} s ({speed:,.0f} tokens/s)"
