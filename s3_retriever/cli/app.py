"""The commands, and how errors reach the user."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

import typer
from pydantic import ValidationError
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption

from s3_retriever.cli.adopt import adopt
from s3_retriever.cli.ask import ask
from s3_retriever.cli.calibrate import calibrate
from s3_retriever.cli.demo import demo
from s3_retriever.cli.display import errors, visible
from s3_retriever.cli.doctor import doctor
from s3_retriever.cli.index import index
from s3_retriever.cli.info import info
from s3_retriever.cli.maintenance import compact, delete, export, import_, set_metadata, snapshot
from s3_retriever.cli.migrate import migrate
from s3_retriever.cli.options import mode_help
from s3_retriever.cli.search import search
from s3_retriever.cli.train import train
from s3_retriever.errors import EndogenousError

__all__ = ["app", "main", "make_app"]


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
    """A command whose help names every mode there is."""

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
        made.command(name, cls=_Command)(command)
    made.callback(help=root_help)(_prepare_output)
    return made


def _prepare_output() -> None:
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
    index,
    search,
    ask,
    info,
    doctor,
    delete,
    set_metadata,
    compact,
    snapshot,
    export,
    import_,
    migrate,
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
        message = visible(record.getMessage())
        if record.levelno >= logging.WARNING:
            errors.print(Text(f"{record.levelname.lower()}: {message}", "yellow"), soft_wrap=True)
        else:
            errors.print(Text(message, "dim"), soft_wrap=True)


def _fail(message: str) -> None:
    line = " ".join(visible(message).split())
    errors.print(Text.assemble(("error:", "red"), " ", line), soft_wrap=True)


def _option(location: tuple[int | str, ...]) -> str:
    return "--" + ".".join(map(str, location)).replace("_", "-")
