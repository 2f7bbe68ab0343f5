"""``s3-retriever doctor``: is an index whole, and if not, what can be saved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.text import Text

from s3_retriever.cli.display import console, visible, waiting
from s3_retriever.cli.opening import existing_manifest, profile_of
from s3_retriever.cli.options import IndexOption, ProfileOption
from s3_retriever.errors import IndexLockedError, IndexMismatchError, IndexStorageError

if TYPE_CHECKING:
    from s3_retriever.index.manifest import Manifest, SegmentRecord
    from s3_retriever.profile import Profile

__all__ = ["doctor"]


class _Damage(NamedTuple):
    """A segment whose file is not as it was written."""

    record: SegmentRecord
    reason: str
    ids: tuple[str, ...]
    """Its documents, if the file still tells."""

    def __str__(self) -> str:
        whose = f"it holds {', '.join(self.ids)}" if self.ids else "its documents are unknown"
        return f"segment {self.record.name} {self.reason}; {whose}"


def doctor(
    folder: IndexOption,
    profile: ProfileOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            help="Build the search part anew; put damaged segments aside and name their documents."
        ),
    ] = False,
) -> None:
    """Check every file of an index; exit code 1 if something is wrong."""
    manifest = existing_manifest(folder)
    with waiting(f"checking {folder} ..."):
        from s3_retriever.profile import Profile

        loaded = Profile.load(profile or profile_of(manifest, folder))
        problems = _problems(folder, manifest, loaded)
    _show(problems)
    if repair:
        with waiting("repairing ..."):
            aside = _repair(folder, manifest, loaded)
            problems = _problems(folder, existing_manifest(folder), loaded)
        _show(problems)
        _say("the search part was built anew", "green")
        for damage in aside:
            _say(f"left out: {damage}", "yellow")
        if aside:
            _say(
                f"index these documents again; damaged files are in {folder / 'damaged'}", "yellow"
            )
    elif problems:
        _say(f"repair it with: s3-retriever doctor --index {folder} --repair")
    if problems:
        raise typer.Exit(1)
    _say(f"{folder} is whole", "green")


def _problems(folder: Path, manifest: Manifest, profile: Profile) -> list[str]:
    """What is wrong, one sentence each."""
    from s3_retriever.index.store import Index

    try:
        return list(Index(folder, profile).problems())
    except (IndexMismatchError, KeyboardInterrupt):
        raise
    except BaseException as e:  # Tantivy's panic on a damaged file is no Exception
        damaged = [str(damage) for damage in _damaged_segments(folder, manifest)]
        reason = str(e) if isinstance(e, IndexStorageError) else f"damaged search part: {e}"
        return damaged or [reason]


def _damaged_segments(folder: Path, manifest: Manifest) -> Iterator[_Damage]:
    from s3_retriever.generator.weights import sha256_of
    from s3_retriever.index.segment import Segment

    for record in manifest.segments:
        path = _segment_path(folder, record)
        if not path.is_file():
            yield _Damage(record, "is missing", ())
        elif sha256_of(path) != record.sha256:
            try:
                entries = Segment.open(path).entries
            except IndexStorageError:
                entries = ()
            live = (e.id for n, e in enumerate(entries) if n not in set(record.deleted))
            yield _Damage(record, "is damaged", tuple(live))


def _repair(folder: Path, manifest: Manifest, profile: Profile) -> list[_Damage]:
    """Keep the sound segments, rebuild the search part; returns what was put aside."""
    import filelock

    from s3_retriever.index.store import Index

    damaged = list(_damaged_segments(folder, manifest))
    try:
        with filelock.FileLock(folder / "writer.lock", timeout=0):
            for damage in damaged:
                _put_aside(_segment_path(folder, damage.record), folder / "damaged")
            if damaged:
                hurt = {damage.record.name for damage in damaged}
                sound = tuple(r for r in manifest.segments if r.name not in hurt)
                update = {"segments": sound, "generation": manifest.generation + 1}
                manifest.model_copy(update=update).write(folder)
            shutil.rmtree(folder / "tantivy", ignore_errors=True)
    except filelock.Timeout as e:
        raise IndexLockedError(
            f"index {folder} is being written by another process; wait until it is done"
        ) from e
    index = Index(folder, profile)
    with index.writing():
        index.rebuild_candidates()
    return damaged


def _segment_path(folder: Path, record: SegmentRecord) -> Path:
    return folder / "segments" / f"{record.name}.safetensors"


def _put_aside(path: Path, target: Path) -> None:
    if path.exists():
        target.mkdir(exist_ok=True)
        path.replace(target / path.name)


def _show(problems: list[str]) -> None:
    for problem in problems:
        _say(problem, "red")


def _say(message: str, style: str = "") -> None:
    console.print(Text(visible(message), style), soft_wrap=True)
