"""The options that several commands share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.search.filters import compile_filter
from s3_retriever.settings import Mode, Scoring
from s3_retriever.validation import is_blank

if TYPE_CHECKING:
    from s3_retriever.encoding.runners import ScanRunner

__all__ = [
    "BudgetOption",
    "DeviceOption",
    "FiguresOption",
    "FilterOption",
    "GpusOption",
    "IndexOption",
    "JsonOption",
    "ModeOption",
    "ModelOption",
    "MostSpansOption",
    "NamespaceOption",
    "ProfileOption",
    "QuestionArgument",
    "RayOption",
    "ScoringOption",
    "SeedOption",
    "ServedOption",
    "UrlOption",
    "WorkersOption",
    "check_outputs",
    "mode_help",
    "parse_filter",
    "parse_json",
    "parse_names",
    "parse_numbers",
    "ray_runner",
    "recorded_command",
]

IndexOption = Annotated[
    str,
    typer.Option("--index", help="Folder of the index, or a postgresql:// URL.", metavar="PLACE"),
]
ServedOption = Annotated[
    Optional[str],
    typer.Option("--index", help="Folder of the index, or a postgresql:// URL.", metavar="PLACE"),
]
UrlOption = Annotated[
    Optional[str],
    typer.Option(
        help="A server's address, in place of --index; a token is what S3_RETRIEVER_TOKEN holds. "
        "Default: what S3_RETRIEVER_URL holds.",
        metavar="URL",
    ),
]
QuestionArgument = Annotated[
    str,
    typer.Argument(
        help="The question, in quotes.", callback=lambda value: _asking_something(value)
    ),
]
ProfileOption = Annotated[
    Optional[str],
    typer.Option(help="Name of a shipped profile, or a profile's folder. Default: the index's."),
]
ModelOption = Annotated[
    Optional[str],
    typer.Option(help="Other weights of the profile's model: hub id, folder or .gguf file."),
]
DeviceOption = Annotated[
    Optional[str], typer.Option(help="cpu, cuda, cuda:1. Default: the best there is.")
]
NamespaceOption = Annotated[
    Optional[str],
    typer.Option(help="Work in this namespace: an index of its own inside the index's folder."),
]
RayOption = Annotated[
    Optional[str],
    typer.Option(
        metavar="auto|HOST:PORT",
        help="Read on a Ray cluster; auto is the one that runs on this machine, or is started on "
        "it for this.",
    ),
]
WorkersOption = Annotated[
    Optional[int],
    typer.Option(min=1, help="Processes that read, with --ray. Default: as many as fit."),
]
GpusOption = Annotated[
    Optional[float],
    typer.Option(min=0, help="Of each worker, may be a part. Default: 1 if there are any."),
]
BudgetOption = Annotated[
    int, typer.Option("--max-tokens", min=1, help="Budget of the spans, in the model's tokens.")
]
MostSpansOption = Annotated[Optional[int], typer.Option("-k", min=1, help="At most K spans.")]
ModeOption = Annotated[
    Optional[Mode],
    typer.Option(
        help="Which legs find spans. Default: the profile's.",  # mode_help() says more
        callback=lambda value: _known_mode(value),
    ),
]
ScoringOption = Annotated[
    Optional[Scoring],
    typer.Option(help="How features score a token. Default: the profile's better way."),
]
FilterOption = Annotated[
    Optional[str],
    typer.Option(
        "--filter", help="""Condition on metadata, as JSON, e.g. '{"title": "Black Death"}'."""
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of the draw and the intervals.")]
FiguresOption = Annotated[Optional[Path], typer.Option("--json", help="Write the figures.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def ray_runner(
    address: str | None, workers: int | None, gpus_per_worker: float | None
) -> ScanRunner | None:
    """What ``--ray`` asks for, made before anything is loaded; ``None`` without it.

    Raises:
        InputError: the other options were given without it.
        RunnerError: Ray is not installed.
    """
    if address is None:
        if workers is not None or gpus_per_worker is not None:
            raise InputError("--workers and --gpus-per-worker need --ray")
        return None
    from s3_retriever.encoding.ray_runner import RayRunner

    return RayRunner(None if address == "auto" else address, workers, gpus_per_worker)


def mode_help() -> str:
    """What ``--mode`` takes: every preset and its summary. Loads what presets are made of."""
    from s3_retriever.retrieval.presets import mode_names, preset_named

    return "; ".join(f"{name}: {preset_named(name).summary}" for name in mode_names()) + "."


def _known_mode(name: Mode | None) -> Mode | None:
    if name is None:  # nothing is loaded for it
        return name
    from s3_retriever.retrieval.presets import mode_names

    if name not in mode_names():
        raise typer.BadParameter(f"{quoted(name)} is not one of {', '.join(mode_names())}")
    return name


def _asking_something(question: str) -> str:
    if is_blank(question):
        raise InputError("the question is empty")
    return question


def parse_filter(text: str | None) -> dict[str, Any] | None:
    """The filter that ``--filter`` gives, checked before a model is loaded for it.

    Raises:
        InputError: no JSON, or no filter.
    """
    if text is None:
        return None
    condition = parse_json(text, "--filter")
    compile_filter(condition)
    found: dict[str, Any] = condition
    return found


def parse_json(text: str, what: str) -> Any:
    """JSON of the command line.

    Raises:
        InputError: it is none, or nested deeper than can be followed; names ``what``.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{what} {quoted(text)} is not JSON: {why(e)}") from e


def parse_names(given: str | None, known: Iterable[str], what: str) -> list[str]:
    """The names of an option that takes several with commas between; all without it.

    Raises:
        InputError: a name is not known; lists those that are.

    Example:
        >>> parse_names("b, a,b", ["a", "b", "c"], "letters")
        ['b', 'a']
    """
    if given is None:
        return list(known)
    names = list(dict.fromkeys(name.strip() for name in given.split(",")))
    if unknown := [name for name in names if name not in list(known)]:
        raise InputError(
            f"unknown {what} {', '.join(map(brief, unknown))}; known: {', '.join(known)}"
        )
    return names


def parse_numbers(text: str, option: str) -> list[int]:
    """Positive numbers with commas between, ascending, each once.

    Raises:
        InputError: anything else; names the option.

    Example:
        >>> parse_numbers("256, 64", "--budgets")
        [64, 256]
    """
    if not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        raise InputError(f"{option} takes e.g. 64,256, not {quoted(text)}")
    return sorted({int(part) for part in text.split(",")})


def check_outputs(*outs: Path | None) -> None:
    """What can fail is tried before an hour of measuring, not after it.

    Raises:
        InputError: the folder of a file that will be written does not exist.
    """
    for out in outs:
        if out and not out.absolute().parent.is_dir():
            raise InputError(f"{brief(out)} cannot be written: its folder does not exist")


def recorded_command(arguments: Sequence[str]) -> str:
    """A call as a profile keeps it: it travels, so of a path only the name is told.

    Example:
        >>> recorded_command(["adopt", "/home/me/model.gguf", "--data=/home/me/q.jsonl"])
        's3-retriever adopt model.gguf --data=q.jsonl'
    """

    def named(word: str) -> str:
        option, equals, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
        return option + equals + (Path(value).name if Path(value).is_absolute() else value)

    return shlex.join(["s3-retriever", *map(named, arguments)])
