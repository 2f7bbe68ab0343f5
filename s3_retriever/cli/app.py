"""The commands, and how errors reach the user."""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption

from s3_retriever import __version__
from s3_retriever.cli.adopt import adopt
from s3_retriever.cli.ask import ask
from s3_retriever.cli.browse import get, list_, namespaces
from s3_retriever.cli.calibrate import calibrate
from s3_retriever.cli.create import create
from s3_retriever.cli.demo import demo
from s3_retriever.cli.display import errors
from s3_retriever.cli.doctor import doctor
from s3_retriever.cli.index import index
from s3_retriever.cli.info import info
from s3_retriever.cli.maintenance import compact, delete, export, import_, set_metadata, snapshot
from s3_retriever.cli.mcp import mcp
from s3_retriever.cli.migrate import migrate
from s3_retriever.cli.options import mode_help
from s3_retriever.cli.search import search
from s3_retriever.cli.serve import serve
from s3_retriever.cli.train import train
from s3_retriever.errors import EndogenousError, InputError
from s3_retriever.quoting import one_line

__all__ = ["app", "main", "make_app"]

_EMPTY_OPTION = re.compile("--[a-z-]+=")


class _Commands(TyperGroup):
    """Commands whose expected errors are one line and exit code 2, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except EndogenousError as e:
            _fail(str(e))
        except ValidationError as e:
            problems = (f"{_option(p['loc'])}: {p['msg']}" for p in e.errors())
            _fail("; ".join(problems))
        except KeyboardInterrupt:
            errors.print("interrupted")
            raise typer.Exit(130) from None
        raise typer.Exit(2)


class _Command(TyperCommand):
    """A command whose help names every mode there is, and which takes no empty arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; an empty path would be the working directory.

        Raises:
            InputError: one is empty.
        """
        if any(not argument or _EMPTY_OPTION.fullmatch(argument) for argument in args):
            raise InputError("an argument is empty; is a variable of the shell not set?")
        found: list[str] = super().parse_args(ctx, args)
        return found

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        for parameter in self.params:
            if parameter.name == "mode" and isinstance(parameter, TyperOption):
                parameter.help = mode_help()
        super().format_help(ctx, formatter)


def make_app(commands: Iterable[Callable[..., None]], root_help: str) -> typer.Typer:
    """A command line of ``commands``, under their functions' names.

    Args:
        commands: functions with typer's annotations.
        root_help: what the whole is for, in a sentence.
    """
    made = typer.Typer(
        cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    for command in commands:
        name = command.__name__.rstrip("_").replace("_", "-")
        made.command(name, cls=_Command)(_with_homes(command))
    made.callback(help=root_help)(_prepare_output)
    return made


def _with_homes(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``~`` in its paths expanded: a shell does so only at the start of a word."""

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        command(**{name: _expanded(value) for name, value in arguments.items()})

    return run


def _expanded(value: Any) -> Any:
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if not isinstance(value, Path):
        return value
    return Path(os.path.expanduser(value))  # noqa: PTH111 Path's own fails for unknown users


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"s3-retriever {__version__}")
        raise typer.Exit


def _prepare_output(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say it.")
    ] = False,
) -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character shows "?"
            stream.reconfigure(errors="replace")
    logger = logging.getLogger("s3_retriever")
    if not any(isinstance(h, _ConsoleHandler) for h in logger.handlers):
        logger.addHandler(_ConsoleHandler())
        logger.setLevel(logging.INFO)
        logger.propagate = False


_COMMANDS: tuple[Callable[..., None], ...] = (
    demo,
    create,
    index,
    search,
    ask,
    serve,
    list_,
    get,
    namespaces,
    info,
    doctor,
    delete,
    set_metadata,
    compact,
    snapshot,
    export,
    import_,
    migrate,
    mcp,
    adopt,
    train,
    calibrate,
)
app = make_app(_COMMANDS, "The LLM you already run, as your retriever.")


def main() -> None:
    """Run the command line."""
    app()


class _ConsoleHandler(logging.Handler):
    """Shows what the library reports, above a bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        message = one_line(record.getMessage())
        if record.levelno >= logging.WARNING:
            errors.print(Text(f"{record.levelname.lower()}: {message}", "yellow"), soft_wrap=True)
        else:
            errors.print(Text(message, "dim"), soft_wrap=True)


def _fail(message: str) -> None:
    errors.print(Text.assemble(("error:", "red"), " ", one_line(message)), soft_wrap=True)


def _option(location: tuple[int | str, ...]) -> str:
    return "--" + ".".join(map(str, location)).replace("_", "-")
