"""What the site does with pages and docstrings that are also read elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`([^`<]*?)\s*(?:<[^>]*>)?`")
_EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the clone that are no pages of the site become their plain text."""
    # a page in a folder may link to one above it
    return markdown if "/" in page.file.src_uri else _OUTSIDE.sub(r"\1", markdown)


def on_nav(nav: Any, config: Any, files: Any) -> None:
    """Keep the contents for the end."""
    config.extra["contents"] = nav.items


def on_post_build(config: Any) -> None:
    """Write ``llms.txt`` (llmstxt.org), and each page's Markdown beside it."""
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    for title, pages in _sections(config.extra["contents"]):
        lines += [f"## {title}", ""]
        for page in pages:
            text = Path(config.site_dir) / page.url / "index.md"
            text.write_text(page.markdown, encoding="utf-8")
            lines.append(f"- [{page.title}]({config.site_url}{page.url}index.md)")
        lines.append("")
    (Path(config.site_dir) / "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def _sections(items: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Titles with their pages; those that stand in no section come first."""
    yield "Start", [item for item in items if item.is_page]
    for item in items:
        if item.is_section:
            yield item.title, [child for child in item.children if child.is_page]


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
