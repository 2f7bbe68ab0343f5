"""``s3-retriever doctor``: is an index whole, and if not, what can be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from s3_retriever.cli.display import console, visible, waiting
from s3_retriever.cli.opening import existing_manifest, profile_of
from s3_retriever.cli.options import DeviceOption, IndexOption, ModelOption, ProfileOption

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
    from s3_retriever.storage.namespaces import namespace_folder, namespaces_in

    places = [namespace_folder(folder, name) for name in (None, *namespaces_in(folder))]
    whole = [_examine(place, profile, repair, model, device) for place in places]
    if not all(whole):
        raise typer.Exit(1)
    _say(f"{folder} is whole", "green")


def _examine(
    folder: Path, profile: str | None, recover: bool, model: str | None, device: str | None
) -> bool:
    """Say what is wrong with one index, repair it if asked; returns whether it is whole now."""
    from s3_retriever.storage.check import problems

    manifest = existing_manifest(folder, repair=recover)
    with waiting(f"checking {folder} ..."):
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
            _say(f"repair it with: s3-retriever doctor --index {folder} --repair")
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
    if report.rescanned:
        _say(f"read again: {', '.join(report.rescanned)}", "green")
    for name in report.unknown:
        _say(f"left out: segment {name}; its documents are unknown", "yellow")
    if report.lost:
        _say(f"left out: {', '.join(report.lost)}", "yellow")
    if report.lost or report.unknown:
        _say(f"index these documents again; damaged files are in {folder / 'damaged'}", "yellow")


def _show(problems: list[str]) -> None:
    for problem in problems:
        _say(problem, "red")


def _say(message: str, style: str = "") -> None:
    console.print(Text(visible(message), style), soft_wrap=True)
