"""From files to records, and the draw of questions: what all formats share."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Place
from s3_retriever.quoting import brief, one_line, why
from s3_retriever.types import Document

__all__ = ["draw", "expecting", "place_in", "read_records", "read_text", "unique"]

T = TypeVar("T")


def read_text(path: Path) -> str:
    """The whole file, with its own line ends: offsets in it count them.

    Raises:
        InputError: it cannot be read or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"data file {brief(path)} cannot be read: {why(e)}") from e


def read_records(path: Path) -> list[Any]:
    """The records of a JSON-lines file; a file that is one JSON value is one record.

    Raises:
        InputError: the file cannot be read, or a line is no JSON; names the line.
    """
    text = read_text(path)
    try:
        return [json.loads(text)]
    except ValueError:
        pass
    found = []
    # not splitlines(): a line separator may stand inside a JSON string
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as e:
                raise InputError(f"{brief(path)}, line {number} is not JSON: {why(e)}") from e
    return found


@contextmanager
def expecting(what: str, path: Path, number: int) -> Iterator[None]:
    """Turn the errors of unpacking a record of another form into one that names the record.

    Raises:
        InputError: the block failed as it does on missing fields and wrong types.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
        raise InputError(
            f"{brief(path)}, record {number}: no {what} ({one_line(repr(e), 400)})"
        ) from e


def place_in(document: Document, span: dict[str, int]) -> Place:
    """Where a labelled span (``start`` and ``end``) of a document is.

    Raises:
        ValueError: it is empty or not in the document.

    Example:
        >>> place_in(Document("a", "One here."), {"start": 4, "end": 8})
        Place(doc_id='a', start=4, end=8)
    """
    start, end = int(span["start"]), int(span["end"])
    if not 0 <= start < end <= len(document.text):
        raise ValueError(
            f"{start} to {end} is no span of {brief(document.id)}, "
            f"which has {len(document.text)} characters"
        )
    return Place(document.id, start, end)


def draw(items: Sequence[T], path: Path, *, limit: int | None, seed: int) -> list[T]:
    """``limit`` of the items in random order; all of them, in order, if there are no more.

    Raises:
        InputError: there are none.
    """
    if not items:
        raise InputError(f"{brief(path)} holds no question with gold evidence")
    if limit is None or limit >= len(items):
        return list(items)
    return random.Random(seed).sample(items, limit)  # noqa: S311  (no secret)


def unique(name: str, taken: set[str]) -> str:
    """``name``, with a number behind it if it is taken; the result is then taken, too.

    Example:
        >>> taken = {"Light"}
        >>> unique("Light", taken), unique("Light", taken)
        ('Light (2)', 'Light (3)')
    """
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    taken.add(found)
    return found
