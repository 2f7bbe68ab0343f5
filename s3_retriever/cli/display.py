"""What the command line shows: bars, spans with highlights, answers."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import Progress
from rich.text import Text

from s3_retriever import progress
from s3_retriever.pages import PAGE_LABEL
from s3_retriever.quoting import brief
from s3_retriever.types import Answer, Span

__all__ = [
    "console",
    "errors",
    "legend",
    "print_json",
    "print_sources",
    "print_spans",
    "print_table",
    "progress_bar",
    "span_panels",
    "stream_answer",
    "visible",
    "waiting",
]

_PLAIN_WIDTH = None if "COLUMNS" in os.environ else 100
"""Columns where the output is no terminal; rich's own guess is a narrow 80."""

console = Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
"""Results go to standard output."""

errors = Console(stderr=True, width=None if sys.stderr.isatty() else _PLAIN_WIDTH)
"""Bars, warnings and errors go to standard error, so that --json stays clean."""


def progress_bar() -> Progress:
    """A bar with a note, e.g. tokens per second."""
    return progress.progress_bar(errors)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Say on standard error what is being waited for: a spinner, or lines in a log file.

    Yields a function that changes the words.
    """
    if errors.is_terminal:
        with errors.status(Text(what)) as status:
            yield lambda words: status.update(Text(words))
    else:
        errors.print(Text(what), soft_wrap=True)
        yield lambda words: errors.print(Text(words), soft_wrap=True)


_SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of characters, from file names say: UTF-8 has none, and JSON should not."""


def print_json(record: Mapping[str, Any]) -> None:
    """One JSON object on standard output, in UTF-8 whatever the terminal's encoding."""
    text = json.dumps(record, ensure_ascii=False, indent=1)
    typer.echo(_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).encode())


_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}")
_CONTROLS |= {ord("\n"): "\n", ord("\t"): " ", ord("\r"): " "}


def visible(text: str) -> str:
    """``text`` without characters that steer a terminal; every offset stays as it was."""
    return text.translate(_CONTROLS)


def print_spans(spans: Sequence[Span]) -> None:
    """Each span: number and id, the text in a frame with what scored highest marked, scores.

    Ids and scores are on lines that are never broken, whatever the width.
    """
    if not spans:
        console.print(Text("nothing was found", "dim"))
    for number, span in enumerate(spans, start=1):
        console.print(Text(f"{number}  {_place(span)}", "bold"), soft_wrap=True)
        console.print(Panel(_highlighted(span), border_style="dim"))
        console.print(Text(_scores(span), "dim"), soft_wrap=True)


def span_panels(spans: Sequence[Span]) -> RenderableType:
    """The same in a column: what is too long for it goes on in the next line."""
    if not spans:
        return Text("nothing was found", "dim")
    parts: list[RenderableType] = []
    for number, span in enumerate(spans, start=1):
        parts.append(Text(f"{number}  {_place(span)}", "bold", overflow="fold"))
        parts.append(Panel(_highlighted(span), border_style="dim"))
        parts.append(Text(_scores(span), "dim", overflow="fold"))
    return Group(*parts)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side, the last of them as long as it is: no cell is cut or broken."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)]
        console.print("  ".join(cells).rstrip(), highlight=False, markup=False, soft_wrap=True)


def legend() -> Text:
    """How the marks of :func:`span_panels` are to be read."""
    if console.is_terminal:
        return Text.assemble(("words", _MARK), (" scored highest", "dim"))
    return Text("«words» scored highest")


def stream_answer(pieces: Iterable[str]) -> None:
    """Print an answer while it is being written, wrapped at words."""
    column, word = 0, ""

    def put(piece: str) -> None:
        nonlocal column
        console.out(piece, end="", highlight=False)
        console.file.flush()
        column = 0 if piece.endswith("\n") else column + cell_len(piece)

    for part in chain.from_iterable(re.split(r"(\s)", visible(p)) for p in chain(pieces, ["\n"])):
        if not part.isspace():
            word += part
        else:
            if column + cell_len(word) >= console.width:
                put("\n")
            put(word + part)
            word = ""


def print_sources(answer: Answer) -> None:
    """The spans that an answer rests on: number, id and the beginning of the text."""
    if not answer.citations:
        console.print(Text("It rests on none of the passages found.", "dim"))
        return
    console.print(Text("Sources:", "dim"))
    for number, span in enumerate(answer.spans, start=1):
        if span in answer.citations:
            excerpt = Text(_clipped(visible(span.text), 2 * (console.width - 4)), "dim")
            console.print(Text(f"[{number}] {_place(span)}"), soft_wrap=True)
            console.print(Padding(excerpt, (0, 0, 0, 4)))


def _clipped(text: str, cells: int) -> str:
    """The beginning of a text on one line that takes so many cells, cut between words."""
    from s3_retriever.text import fitting_end

    line = " ".join(text.split())
    if cell_len(line) <= cells:
        return line
    return line[: fitting_end(line, len(set_cell_size(line, cells - 2)))] + "…"


def _place(span: Span) -> str:
    """A span's id, and its pages where its document has some."""
    label = span.metadata.get(PAGE_LABEL)
    return f"{brief(span.id)}, p. {brief(label)}" if label else brief(span.id)


def _scores(span: Span) -> str:
    legs = (f"{leg} {score:.3g}" for leg, score in span.scores.items())
    return " · ".join([f"score {span.score:.4f}", *legs])


_MARK = "bold yellow"

_MARKED_SHARE = 8
"""Of the tokens of a span, one in so many is marked."""


def _highlighted(span: Span) -> Text:
    """The span's text with its best words marked: by colour, or by «» where there is none."""
    text = Text(visible(span.text))
    ranges = best_words(span)
    if console.is_terminal:
        for start, end in ranges:
            text.stylize(_MARK, start, end)
        return text
    plain = text.plain
    for start, end in reversed(ranges):
        plain = f"{plain[:start]}«{plain[start:end]}»{plain[end:]}"
    return Text(plain)


def best_words(span: Span) -> list[tuple[int, int]]:
    """The words around the span's highest scoring tokens, as ranges of its text, in order."""
    from s3_retriever.text import whole_words

    best = sorted(span.tokens, key=lambda t: -t.score)[: -(-len(span.tokens) // _MARKED_SHARE)]
    ranges: list[tuple[int, int]] = []
    for token in sorted(best, key=lambda t: t.start):
        start, end = max(token.start - span.start, 0), min(token.end, span.end) - span.start
        if end <= start:  # outside the span
            continue
        piece = span.text[start:end]
        start += len(piece) - len(piece.lstrip())
        end -= len(piece) - len(piece.rstrip())
        if token.score <= 0 or not any(map(str.isalnum, piece)):
            continue
        start, end = whole_words(span.text, start, end)
        if ranges and not span.text[ranges[-1][1] : start].strip():  # side by side: one mark
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((start, end))
    return ranges
