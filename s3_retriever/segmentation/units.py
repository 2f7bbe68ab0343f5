"""Units: what a text is retrieved by. Sentences of prose; records, turns, rows, lines otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from s3_retriever.segmentation.breaks import Break, Strength, breaks_inside, cut, merged
from s3_retriever.segmentation.layout import Kind, Layout, layout_of
from s3_retriever.segmentation.lines import paragraphs_of
from s3_retriever.segmentation.records import part_starts
from s3_retriever.segmentation.sentences import ends_sentence, sentence_starts
from s3_retriever.segmentation.words import trimmed

__all__ = ["Section", "passages_of", "read_section", "sections_of"]

_LONGEST_SENTENCE = 600
"""Characters; what claims to be a longer sentence is none."""
_LONGEST = 400
"""Characters of a unit that does not end as a sentence does: some 100 tokens."""
_AIM = 200
"""Characters of the pieces of what is longer."""
_BLOCK = 300
"""Characters of a record, turn or row that is a unit as a whole."""
_GROUP = 250
"""Characters of short lines that are one unit."""
_LEAST = {Kind.RECORDS: 150, Kind.CUES: 40, Kind.ROWS: 40}
"""Characters of a unit that can stand by itself; shorter ones join a neighbour."""
_LONGEST_PASSAGE = 2000
"""Characters of a paragraph that is left whole whatever it is."""
_PASSAGE = 1000
"""Characters of the parts of a longer one that is not prose."""


@dataclass(frozen=True)
class Section:
    """A paragraph as it was read."""

    start: int
    end: int
    units: list[Break]
    """Where its units begin."""
    prose: bool
    """Whether it is left whole, however long."""
    cues: bool
    """Whether it goes on in the next one: an empty line ends a cue of subtitles, no passage."""


def sections_of(text: str, language: str) -> Iterator[Section]:
    r"""The paragraphs of a text, consecutive subtitles as one.

    Args:
        text: the whole document.
        language: of its sentences.

    Example:
        >>> [len(section.units) for section in sections_of("One. Two.\n\nThree.", "en")]
        [2, 1]
    """
    found = (read_section(text, *paragraph, language) for paragraph in paragraphs_of(text))
    for cues, group in groupby(found, key=lambda section: section.cues):
        if cues:
            sections = list(group)
            units = [unit for section in sections for unit in section.units]
            yield Section(sections[0].start, sections[-1].end, units, prose=False, cues=True)
        else:
            yield from group


def read_section(text: str, start: int, end: int, language: str) -> Section:
    r"""Tell what a paragraph is, and find its units.

    Args:
        text: the whole document.
        start: the paragraph's first character.
        end: one past its last.
        language: of its sentences.

    Example:
        >>> text = "id,name,city\n1,Ann Lee of the harbour office,Bergen\n2,Bo,Oslo"
        >>> [unit.at for unit in read_section(text, 0, len(text), "en").units]
        [0, 52]
    """
    layout = layout_of(text, start, end)
    if layout.kind == Kind.PROSE:
        found = sentence_starts(text, start, end, language)
        sentences = [Break(at, Strength.SENTENCE) for at in found]
        units = list(_bounded(text, sentences, end))
        ended = sum(ends_sentence(text, *bounds) for bounds in _trimmed(text, units, end))
        return Section(start, end, units, prose=2 * ended >= len(units), cues=False)
    if layout.kind == Kind.LINES:
        lines = _line_breaks(text, layout)
        units = [lines[0], *cut(text, start, end, lines[1:], _AIM, _GROUP)]
        return Section(start, end, list(_bounded(text, units, end)), prose=False, cues=False)
    blocks = list(_parts(text, layout, end, language))
    whole = merged(text, blocks, end, _LEAST[layout.kind], _BLOCK)
    units = list(_bounded(text, whole, end))
    return Section(start, end, units, prose=False, cues=layout.kind == Kind.CUES)


def passages_of(text: str, section: Section) -> Iterator[int]:
    """Where the paragraphs of a section begin: one, unless it is long and no prose."""
    yield section.start
    if section.end - section.start > _LONGEST_PASSAGE and not section.prose:
        inside = section.units[1:]
        found = cut(text, section.start, section.end, inside, _PASSAGE, _PASSAGE + _BLOCK)
        begins = {unit.at for unit in inside}
        yield from (passage.at for passage in found if passage.at in begins)


def _parts(text: str, layout: Layout, end: int, language: str) -> Iterator[Break]:
    """Where blocks begin, and in those that are too long for a unit their parts."""
    for start, stop in zip(layout.blocks, [*layout.blocks[1:], end], strict=True):
        yield Break(start, Strength.BLOCK)
        if stop - start <= _BLOCK:
            continue
        if layout.kind == Kind.RECORDS:
            yield from part_starts(text, start, stop, language)
        else:
            found = sentence_starts(text, start, stop, language)
            yield from (Break(at, Strength.SENTENCE) for at in found if at > start)


def _line_breaks(text: str, layout: Layout) -> list[Break]:
    """Lines of code, settings or verse; the less one is indented, the more begins with it."""
    indents = [_indent(text, at) for at in layout.blocks]
    strengths = [Strength.BLOCK, Strength.BLANK, Strength.SENTENCE]
    ranks = dict(zip(sorted({0, *indents}), strengths, strict=False))
    return [
        Break(at, ranks.get(indent, Strength.LINE))
        for at, indent in zip(layout.blocks, indents, strict=True)
    ]


def _indent(text: str, at: int) -> int:
    first = at
    while at < min(len(text), first + 80) and text[at] in " \t":
        at += 1
    return at - first


def _trimmed(text: str, units: Sequence[Break], end: int) -> Iterator[tuple[int, int]]:
    for unit, after in zip(units, [*units[1:], Break(end, Strength.BLOCK)], strict=True):
        if bounds := trimmed(text, unit.at, after.at):
            yield bounds


def _bounded(text: str, units: Sequence[Break], end: int) -> Iterator[Break]:
    """Units that are not too long."""
    for number, unit in enumerate(units):
        yield unit
        stop = units[number + 1].at if number + 1 < len(units) else end
        bounds = trimmed(text, unit.at, stop)
        if bounds is None or bounds[1] - bounds[0] <= _LONGEST:
            continue
        first, last = bounds
        if last - first <= _LONGEST_SENTENCE and ends_sentence(text, first, last):
            continue
        yield from cut(text, first, last, breaks_inside(text, first, last), _AIM, _LONGEST)
