"""``s3-retriever doctor``: is an index whole, and if not, what can be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.opening import (
    existing_manifest,
    open_documents,
    place_of,
    profile_of,
    shown,
)
from s3_retriever.cli.options import DeviceOption, IndexOption, ModelOption, ProfileOption
from s3_retriever.errors import EndogenousError, IndexStorageError, InputError
from s3_retriever.paths import is_url
from s3_retriever.quoting import brief, one_line

if TYPE_CHECKING:
    from s3_retriever.storage.manifest import Manifest
    from s3_retriever.storage.repair import Repaired
    from s3_retriever.types import Document, EncodedDocument

__all__ = ["doctor"]


def doctor(
    folder: IndexOption,
    profile: ProfileOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            help="Build the search part anew, rebuild damaged segments from what is left of them, "
            "and read texts again whose codes are lost."
        ),
    ] = False,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Check every file of an index and of its namespaces; exit code 1 if something is wrong."""
    if is_url(folder):
        _examine_tables(folder, profile, repair)
        return
    _examine_folder(Path(place_of(folder)), profile, repair, model, device)


def _examine_tables(url: str, profile: str | None, recover: bool) -> None:
    """Say what is wrong with an index in PostgreSQL and with its namespaces."""
    if recover:
        raise InputError(
            "a database is repaired by its own means: restore a backup, or delete the documents "
            "that doctor names without --repair, and index them again"
        )
    from s3_retriever.storage.postgres.check import problems
    from s3_retriever.storage.postgres.view import PostgresView

    whole = True
    for name in [None, *open_documents(url, profile).namespaces()]:
        place = place_of(url, name)
        view = open_documents(place, profile).view
        assert isinstance(view, PostgresView)
        with waiting(f"checking {brief(shown(place))} ..."):
            found = list(problems(view))
        _show(found)
        whole &= not found
    if not whole:
        raise typer.Exit(1)
    _say(f"{brief(shown(url))} is whole", "green")


def _examine_folder(
    folder: Path, profile: str | None, repair: bool, model: str | None, device: str | None
) -> None:
    """Say what is wrong with an index in a folder and with its namespaces."""
    from s3_retriever.storage.folder import parts_of_index
    from s3_retriever.storage.namespaces import (
        deleted_in,
        namespace_folder,
        namespaces_in,
        remove_deleted,
    )

    if repair:
        remove_deleted(folder)
    for path in deleted_in(folder):
        _say(f"{brief(path)} is left of a namespace that was deleted; --repair removes it")
    names: list[str | None] = [*namespaces_in(folder)]
    if not names or parts_of_index(folder):  # an index may be used by its namespaces alone
        names.insert(0, None)
    failed: list[EndogenousError] = []
    whole = True
    for name in names:  # one that cannot be examined must not hide the others
        try:
            place = namespace_folder(folder, name)
            whole &= _examine(place, profile, repair, model, device)
        except IndexStorageError as e:
            failed.append(e)
    for error in failed[:-1]:
        _say(str(error), "red")
    if failed:
        raise failed[-1]
    if not whole:
        raise typer.Exit(1)
    _say(f"{brief(folder)} is whole", "green")


def _examine(
    folder: Path, profile: str | None, recover: bool, model: str | None, device: str | None
) -> bool:
    """Say what is wrong with one index, repair it if asked; returns whether it is whole now."""
    from s3_retriever.storage.check import problems

    manifest = existing_manifest(folder, repair=recover)
    with waiting(f"checking {brief(folder)} ..."):
        from s3_retriever.profiles.cards import load_card

        name = profile or profile_of(manifest, folder)
        card = load_card(name)
        found = [] if recover else list(problems(folder, card))
    if recover:
        from s3_retriever.storage.repair import repair

        with waiting("repairing ..."):
            report = repair(folder, card, _reader(name, model, device, manifest, folder))
            found = list(problems(folder, card))
        _show(found)
        _say("the search part was built anew", "green")
        _report(report, folder)
    else:
        _show(found)
        if found:
            _say(f"repair it with: s3-retriever doctor --index {brief(folder)} --repair")
    return not found


def _reader(
    name: str, model: str | None, device: str | None, manifest: Manifest, folder: Path
) -> Callable[[Sequence[Document]], Iterable[EncodedDocument]]:
    """What reads texts again; the model is loaded only if there are any.

    It refuses to be another one than the one that read the index's other texts.
    """

    def rescan(documents: Sequence[Document]) -> Iterable[EncodedDocument]:
        from s3_retriever.encoding.scanner import Scanner
        from s3_retriever.models.transformers import TransformersModel
        from s3_retriever.profiles.profile import Profile
        from s3_retriever.settings import ScanSettings

        profile = Profile.load(name)
        card = profile.card
        revision = card.revision if model is None else None
        llm = TransformersModel.load(model or card.model, revision=revision, device=device)
        profile.check_llm(llm)
        manifest.check(card, llm.weights_digest(profile.layers[-1]), f"index {folder}")
        return Scanner(llm, profile, ScanSettings()).scan(documents)

    return rescan


def _report(report: Repaired, folder: Path) -> None:
    """What became of the documents of damaged segments."""
    if report.kept:
        _say(f"{len(report.kept)} documents of damaged segments are whole", "green")
    for doc_id in report.rescanned:
        _say(f"read again: {brief(doc_id)}", "green")
    for name in report.unknown:
        _say(f"left out: segment {brief(name)}; its documents are unknown", "yellow")
    for doc_id in report.lost:
        _say(f"left out: {brief(doc_id)}", "yellow")
    if report.lost or report.unknown:
        _say(
            f"index these documents again; damaged files are in {brief(folder / 'damaged')}",
            "yellow",
        )


def _show(problems: list[str]) -> None:
    for problem in problems:
        _say(problem, "red")


def _say(message: str, style: str = "") -> None:
    console.print(Text(one_line(message), style), soft_wrap=True)
