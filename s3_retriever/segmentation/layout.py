"""What kind of text a paragraph is, told by simple counts over its lines.

Prose is what shows no other kind. A paragraph is read by itself: one document may hold a letter,
a table and a listing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from s3_retriever.segmentation.lines import lines_of
from s3_retriever.segmentation.records import is_record, record_starts

__all__ = ["Kind", "Layout", "layout_of"]


class Kind(Enum):
    """What a paragraph's units are."""

    PROSE = "sentences"
    RECORDS = "records"
    CUES = "cues of subtitles"
    ROWS = "rows: turns, log lines, rows of a table, items"
    LINES = "short lines that belong together: code, settings, verse"


@dataclass(frozen=True)
class Layout:
    """A paragraph's kind and where its blocks begin."""

    kind: Kind
    blocks: list[int]
    """First characters, in order; the first is the paragraph's."""


_HEAD = 120
"""Characters of a line that tell what it is."""
_CUE = re.compile(
    "^(?:\\d{1,6}[ \t]*\n)?[ \t]*(?:\\d\\d:)?\\d\\d:\\d\\d[.,]\\d{3} --> ", re.MULTILINE
)
_LOG = re.compile(
    "\\W{0,3}(?:\\d{1,4}[-/.]\\d\\d?[-/.]\\d\\d(?:\\d\\d)?\\b|\\d\\d?:\\d\\d(?::\\d\\d)?\\b"
    "|\\d{1,10}\\.\\d{3,6}\\]|\\d{1,3}(?:\\.\\d{1,3}){3} |[A-Z][a-z]{2} {1,2}\\d\\d? \\d\\d:\\d\\d"
    "|(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL|NOTICE)\\b)"
)
_NAME = "[^\\W\\d_][\\w.'\u2019-]{0,24}(?: [\\w.'\u2019-]{1,24}){0,3}"
_TURN = re.compile(
    "[ \t>*_-]{0,4}(?:[\\[(]?\\d\\d?:\\d\\d(?::\\d\\d)?[\\])]? )?"
    f"(?:<[^<>]{{1,30}}>|\\*{{0,2}}(?![a-z]){_NAME}(?: \\([^)]{{1,30}}\\))?(?::\\*{{0,2}}|\\*\\*:))"
    "[ \t]+\\S"
)
_ITEM = re.compile("[ \t]{0,12}(?:[-*+\u2022\u2013]|\\(?\\d{1,3}[.)]|[a-z]\\))[ \t]+\\S")
_TABLE = re.compile("[ \t]*\\|.*\\||[^|]*\\|[^|]*\\||[^|]*\\S \\| \\S")
_CELLS = re.compile("[,;\t](?! )")
_CODE = re.compile(
    "[ \t]*(?:#|//|/\\*|\\*/|--|@\\w|[})\\]]+[,;)]*$|<[/!?\\w][^>]*>|- |\\[[^\\]]{1,60}\\]$"
    "|(?:import|from|def|class|return|if|elif|else|for|while|with|try|except|raise|assert|yield"
    "|const|let|var|function|public|private|static|package|use|fn|pub|struct|enum|impl|type"
    "|SELECT|INSERT|CREATE|FROM|WHERE|JOIN|GROUP|ORDER)\\b.*[:;({\\[)\\]},]$"
    "|(?:import|from|return|package|use|raise|yield) [\\w.{(\\[\"']+|(?:pass|break|continue|else:)$"
    "|[\\w.\\-\"'\\[\\]$]{1,60}(?:, ?\\w{1,30}){0,3}(?:: ?[\\w\\[\\]., |]{1,60})? ?[-+*/|&:]?=[^=]"
    "|[\\w.\\-\"']{1,40}:(?: [^ ]|[ \t]*$)|[\\w.]{1,60}\\(.*|.*[;{}\\[(]$)"
)
_RUNNING = re.compile("[a-z][.!?][\"'\u201d\u2019)]? {1,2}[\"'\u201c\u2018(]?[A-Z]")
"""A sentence that ends before its line does: rare in verse, frequent in prose of ragged lines."""
_ENDED = re.compile("[.!?\u2026\u3002][\"'\u201d\u2019)\\]*_]{0,3}\\s*$")


def layout_of(text: str, start: int, end: int) -> Layout:
    r"""Tell a paragraph's kind.

    Example:
        >>> text = "Ann: Where is it?\nBen: In the hall.\nAnn: Thanks!"
        >>> layout = layout_of(text, 0, len(text))
        >>> layout.kind.name, layout.blocks
        ('ROWS', [0, 18, 36])
    """
    if is_record(text, start, end):
        return Layout(Kind.RECORDS, record_starts(text, start, end))
    if cues := [m.start() for m in _CUE.finditer(text, start, end)]:
        return Layout(Kind.CUES, [start, *(at for at in cues if at > start)])
    bounds = [(a, b) for a, b in lines_of(text, start, end) if text[a:b].strip()]
    lines = [text[a : min(b, a + _HEAD)] for a, b in bounds]
    if len(lines) == 1:
        return Layout(Kind.PROSE, [start])
    wrapped = _wrapped(text, bounds)
    share = 0.8 if wrapped else 0.5  # lines that look full must show more
    if rows := _rows(lines, share):
        starts = [a for (a, _), begins in zip(bounds, rows, strict=True) if begins]
        return Layout(Kind.ROWS, [start, *(a for a in starts if a > start)])
    if _code(lines, share) or (not wrapped and _verse(text, bounds, lines)):
        return Layout(Kind.LINES, [start, *(a for a, _ in bounds[1:])])
    return Layout(Kind.PROSE, [start])


def _wrapped(text: str, bounds: list[tuple[int, int]]) -> bool:
    """Whether lines end where they were full: the next word would not have fitted.

    Such lines mean nothing, and sentences cross them.
    """
    width = max(b - a for a, b in bounds)
    full = 0
    for (a, b), (c, d) in pairwise(bounds):
        word = text[c : min(d, c + width)].split(None, 1)
        full += b - a + 1 + len(word[0]) > width - 4
    return width < 200 and full * 4 >= 3 * (len(bounds) - 1)


def _rows(lines: list[str], share: float) -> list[bool] | None:
    """Which lines begin a row, if that share does."""
    if len(lines) >= 3 and _same_cells(lines):
        return [True] * len(lines)
    marks: list[Callable[[str], object]] = [_TABLE.match, _LOG.match, _TURN.match, _ITEM.match]
    for mark in marks:
        begins = [bool(mark(line)) for line in lines]
        if sum(begins) >= max(2, share * len(lines)):
            return begins
    return None


def _same_cells(lines: list[str]) -> bool:
    """Whether lines are rows of cells: commas, semicolons or tabs without a space after them."""
    cells = [len(_CELLS.findall(line)) for line in lines]
    least = min(cells[0], 4)  # a head of a long line may hold few of its cells
    return least >= 2 and sum(count >= least for count in cells) * 10 >= 7 * len(cells)


def _code(lines: list[str], share: float) -> bool:
    """Whether that share of the lines are statements or settings."""
    return sum(bool(_CODE.match(line)) for line in lines) >= share * len(lines)


def _verse(text: str, bounds: list[tuple[int, int]], lines: list[str]) -> bool:
    """Whether lines are verses or the like: short, few end a sentence and few hold an end."""
    ended = sum(bool(_ENDED.search(text, max(a, b - 8), b)) for a, b in bounds)
    short = sum(b - a < 70 for a, b in bounds)
    capital = sum(not line.lstrip()[:1].islower() for line in lines)
    running = sum(bool(_RUNNING.search(line)) for line in lines)
    return (
        len(lines) >= 4
        and short * 10 >= 9 * len(lines)
        and ended * 2 < len(lines)
        and capital * 2 >= len(lines)
        and running * 10 <= len(lines)
    )
