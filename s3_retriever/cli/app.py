"""The commands, and how an error reaches the user."""

from __future__ import annotations

import typer

from s3_retriever.cli.display import errors
from s3_retriever.cli.train import train
from s3_retriever.errors import EndogenousError

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(train)


@app.callback()
def _root() -> None:
    """The LLM you already run, as your retriever."""


def main() -> None:
    """Run the command line; an expected error is one line, not a traceback."""
    try:
        app()
    except EndogenousError as e:
        errors.print(f"[red]error:[/red] {e}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from e
