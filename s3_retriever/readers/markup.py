"""HTML that a parser reads in one pass: what is opened and never closed is text.

``html.parser`` looks for the end of every comment, section and tag it sees begin; where there is
none it searches to the end of the page and goes back to the next beginning. A page of nothing but
beginnings takes a time that grows with the square of its length.
"""

from __future__ import annotations

import re

__all__ = ["closed_markup"]

_COMMENT, _SECTION = "<!--", "<!["
_CDATA = re.compile(r"<(?=!\[(?:cdata|rcdata|temp|ignore|include)\b)", re.IGNORECASE)
_COMMENT_END = re.compile(r"--!?\s*>")
_SECTION_END = re.compile(r"\]\s*>")
_CDATA_END = re.compile(r"\]\s*\]\s*>")


def closed_markup(markup: str) -> str:
    r"""The page, in which every ``<`` that nothing closes any more is spelled as a character.

    Each kind of beginning is looked at behind the last end of its kind only, so this takes the
    time of a few searches through the page, and a page without such beginnings stays as it is.

    Example:
        >>> closed_markup("<b>one</b> <!-- two"), closed_markup("1 < 2 <p>")
        ('<b>one</b> &lt;!-- two', '1 < 2 <p>')
    """
    end = markup.rfind(">") + 1
    markup = markup[:end] + markup[end:].replace("<", "&lt;")
    # a comment of "<!-->" begins before its end does: its own dashes do not close it
    end = max(0, _last(_COMMENT_END, markup) - len(_COMMENT) + 1)
    markup = markup[:end] + markup[end:].replace(_COMMENT, "&lt;!--")
    end = _last(_SECTION_END, markup) + 1
    markup = markup[:end] + markup[end:].replace(_SECTION, "&lt;![")
    end = _last(_CDATA_END, markup) + 1
    return markup[:end] + _CDATA.sub("&lt;", markup[end:])


def _last(end: re.Pattern[str], markup: str) -> int:
    """Where the last match begins; -1 if there is none."""
    found = -1
    for match in end.finditer(markup):
        found = match.start()
    return found
