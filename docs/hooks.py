"""What the site does with pages and docstrings that are also read elsewhere."""

from __future__ import annotations

import re
from typing import Any

import griffe

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`([^`<]*?)\s*(?:<[^>]*>)?`")
_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the clone that are no pages of the site become their plain text."""
    # a page in a folder may link to one above it
    return markdown if "/" in page.file.src_uri else _OUTSIDE.sub(r"\1", markdown)


class Docstrings(griffe.Extension):
    """Sections named Example are code, as those named Examples are; roles of Sphinx are names."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite a docstring before it is parsed."""
        if obj.docstring:
            text = _EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
            obj.docstring.value = _ROLE.sub(_name, text)


def _name(role: re.Match[str]) -> str:
    """``~a.b.C`` is shown as ``C``."""
    target = role[1]
    return f"`{target[1:].rpartition('.')[2] if target.startswith('~') else target}`"
