r"""Records: JSON, JSON lines, literals of Python or JavaScript, strings with ``\n`` spelled out.

Nothing is parsed: what is indexed may be cut off, escaped twice or not quite JSON, and offsets
must be those of the text. Marks between values are enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from s3_retriever.segmentation.breaks import Break, Strength
from s3_retriever.segmentation.sentences import sentence_starts
from s3_retriever.segmentation.words import inside_word

__all__ = ["is_record", "part_starts", "record_starts"]

_KEY = re.compile("[\"']\\s?:\\s?(?=[\"'{\\[\\d-]|true|false|null|True|False|None)")
_OPENS = re.compile("[\\[{]\\s{0,80}[\\[{\"']")
_SPELLED = re.compile("(?<!\\\\)\\\\{1,4}n(?![a-z])")
_SAMPLE = 1 << 14
"""Characters at the start of a paragraph that tell what it is."""

_RECORD = re.compile("(?<=\\})\\s{0,80},?\\s{0,80}(?=\\{)|(?<=\\])\\s{0,80},?\\s{0,80}(?=\\[)")
_PART = re.compile(
    "(?P<member>(?<=[}\\]]),\\s{0,80}(?=[\"'{\\[]))"
    "|(?P<value>(?<=[\"'\\w]),\\s{0,80}(?=[\"'{\\[]))"
    "|(?P<spelled>(?=(?<!\\\\)\\\\{1,4}[nr]))(?:\\\\{1,4}[nrt]){1,8}"
    "|(?P<opens>[\"']\\s?:\\s?[\"'])"
)
"""Where a value, a member, a spelled-out line begins; ``opens`` is where a string's text begins."""
_CLOSED = re.compile("(?:[\"'\u201d\u2019)\\] ](?!\\w)){0,4}")
"""What still belongs to the sentence before it."""
_QUOTES = re.compile("\"|(?<!\\w)'|'(?!\\w)|[()\\[\\]]")


def is_record(text: str, start: int, end: int) -> bool:
    r"""Whether a paragraph is made of records or of escaped strings.

    Example:
        >>> text = '{"role": "user", "content": "Hello"}'
        >>> is_record(text, 0, len(text)), is_record('["Well," he said]', 0, 17)
        (True, False)
    """
    stop = min(end, start + _SAMPLE)
    keys = [m.start() for m in _KEY.finditer(text, start, stop)]
    if keys and _OPENS.match(text, start, stop):
        return True
    spelled = sum(1 for _ in _SPELLED.finditer(text, start, stop))
    if len(keys) >= 3 and len(keys) * 500 >= stop - start:
        return (keys[-1] - keys[0]) * 2 >= stop - start  # no literal that prose quotes
    return spelled >= 4 and spelled * 800 >= stop - start


def record_starts(text: str, start: int, end: int) -> list[int]:
    """Where the records of a paragraph begin, the first at ``start``.

    Example:
        >>> record_starts('[{"a": 1}, {"a": 2}]', 0, 20)
        [0, 11]
    """
    return [start, *(m.end() for m in _RECORD.finditer(text, start, end))]


def part_starts(text: str, start: int, end: int, language: str) -> Iterator[Break]:
    """Where values, spelled-out lines and sentences of one record begin, without the first.

    Sentences are read between these marks only, since `sentencex` ends none inside quotes.
    """
    begins = start
    for match in _PART.finditer(text, start, end):
        kind = match.lastgroup
        if kind == "opens":
            yield from _sentences(text, begins, match.start(), language)
            begins = match.end()
            continue
        at = match.start() if kind == "spelled" else match.end()
        yield from _sentences(text, begins, at, language)
        if start < at < end and not inside_word(text, at):
            yield Break(at, _strength(match))
        begins = match.end()
    yield from _sentences(text, begins, end, language)


def _strength(match: re.Match[str]) -> Strength:
    if match.lastgroup == "value":
        return Strength.LINE
    if match.lastgroup == "member":
        return Strength.BLANK
    lines = match[0].count("n") or match[0].count("r")
    return Strength.BLANK if lines > 1 else Strength.LINE


def _sentences(text: str, start: int, end: int, language: str) -> Iterator[Break]:
    """Breaks between the sentences of a string's text, the quotes in it left out of account."""
    if end - start < 40:
        return
    plain = _QUOTES.sub(" ", text[start:end])
    said = start  # the number of an item is no sentence
    for at in sentence_starts(plain, 0, len(plain), language):
        place = start + at
        if at and place - said < 40 and not re.search("[^\\W\\d_]{2}", text[said:place]):
            continue
        said = place
        if closed := _CLOSED.match(text, place, end):
            place = closed.end()
        if at and start < place < end and not inside_word(text, place):
            yield Break(place, Strength.SENTENCE)
