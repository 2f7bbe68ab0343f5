"""Reading files into documents: plain text, Markdown, reStructuredText, HTML and PDF."""

from __future__ import annotations

import codecs
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3_retriever.types import Document

__all__ = ["SUFFIXES", "FilesRead", "read_files"]

_TEXT = (".txt", ".text", ".md", ".markdown", ".rst")
_HTML = (".html", ".htm")
SUFFIXES = (*_TEXT, *_HTML, ".pdf")
"""Kinds of files that are picked up in a folder, upper or lower case."""


@dataclass(frozen=True)
class FilesRead:
    """What was found under some paths."""

    documents: tuple[Document, ...]
    """One a file, in the order of the paths, sorted within a folder."""
    skipped: Mapping[str, str]
    """Files that could not be used: the reason, and what to do about it, by path."""
    passed_over: int
    """Files in folders that are of no kind listed in :data:`SUFFIXES`."""


@dataclass(frozen=True)
class _Content:
    """What one file holds."""

    text: str
    title: str | None


@dataclass(frozen=True)
class _Found:
    """A file to be read, and how much of its path is its id."""

    path: Path
    """Absolute."""
    depth: int
    """Parts of the path below the given folder; 1 for a file given by name."""

    def name(self, above: int) -> str:
        """The last parts of the path, with ``above`` more than the id needs, as POSIX."""
        return storable(Path(*self.path.parts[-(self.depth + above) :]).as_posix())


class _UnreadableError(Exception):
    """Why a file is left out."""


def read_files(paths: Iterable[str | Path]) -> FilesRead:
    """Read files, and all files of known kinds in folders and the folders below.

    A document's id is its path below the given folder (``guide/start.md``), or the file's name if
    the file itself was given; where two would be the same, as many parent folders as needed are
    put before both. Its metadata are the absolute ``path`` and a ``title``: the first heading,
    the page's title, or the file's name. Plain text stays exactly as it is in the file, line ends
    included, but for a byte order mark.

    A file given by name is read as UTF-8 text whatever its suffix. Hidden folders (``.git``) are
    left alone, and links that lead out of a given folder are not followed.

    Example:
        >>> files = read_files(["no-such-file.txt"])
        >>> files.documents, dict(files.skipped)
        ((), {'no-such-file.txt': 'there is no such file or folder'})
    """
    found: dict[Path, _Found] = {}
    skipped: dict[str, str] = {}
    passed_over = 0
    for given in paths:
        path = Path(os.path.abspath(given))  # noqa: PTH100 resolve() would follow links
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except (OSError, ValueError) as e:
            skipped[storable(str(given))] = f"it cannot be read: {e}"
            continue
        if is_folder:
            for inside in _walk(path, skipped):
                if inside.suffix.lower() in SUFFIXES:
                    depth = len(inside.parts) - len(path.parts)
                    found.setdefault(inside, _Found(inside, depth))
                else:
                    passed_over += 1
        elif is_there:
            found.setdefault(path, _Found(path, 1))
        else:
            skipped[storable(str(given))] = "there is no such file or folder"

    documents = []
    for file, name in zip(found.values(), _unique_names(list(found.values())), strict=True):
        path_text = storable(str(file.path))
        try:
            content = _read(file.path)
        except _UnreadableError as e:
            skipped[path_text] = str(e)
            continue
        title = content.title or storable(file.path.name)
        documents.append(Document(name, content.text, {"path": path_text, "title": title}))
    return FilesRead(tuple(documents), skipped, passed_over)


def storable(name: str) -> str:
    """A file's name as UTF-8 can hold it (POSIX names are bytes; odd ones are escaped)."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _walk(root: Path, skipped: dict[str, str]) -> Iterator[Path]:
    """Files below ``root``, sorted; what cannot be entered goes to ``skipped``."""
    inside = os.path.realpath(root)

    def cannot_list(error: OSError) -> None:
        skipped[storable(str(error.filename))] = f"the folder cannot be listed: {error.strerror}"

    for folder, folders, files in os.walk(root, onerror=cannot_list):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *sorted(files)]:
            path = Path(folder, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                skipped[storable(str(path))] = "it is a link that leads out of the folder given"
            elif name not in folders:
                yield path


def _unique_names(files: list[_Found]) -> list[str]:
    """The shortest ids that differ, whichever order the files came in."""
    above = [0] * len(files)
    for _ in range(max((len(file.path.parts) for file in files), default=0)):
        names = [file.name(n) for file, n in zip(files, above, strict=True)]
        counts = Counter(names)
        above = [n + (counts[name] > 1) for name, n in zip(names, above, strict=True)]
    return [file.name(n) for file, n in zip(files, above, strict=True)]


def _read(path: Path) -> _Content:
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise _UnreadableError("it is neither a file nor a folder")
        data = path.read_bytes()
    except OSError as e:
        raise _UnreadableError(f"it cannot be read: {e.strerror}") from e
    if not data:
        raise _UnreadableError("it is empty")
    suffix = path.suffix.lower()
    if suffix == ".pdf" or data.startswith(b"%PDF-"):
        content = _read_pdf(path)
    elif suffix in _HTML:
        content = _read_html(data)
    else:
        text = _decode(data)
        content = _Content(text, _heading(text))
    if not content.text.strip():
        raise _UnreadableError("it holds nothing but white space")
    return content


def _decode(data: bytes) -> str:
    """Strict UTF-8 without a byte order mark; the message says what else it might be."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _UnreadableError("it is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 FILE")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        if b"\x00" in data:
            raise _UnreadableError(
                "it is a binary file; only text, HTML and PDF can be read"
            ) from e
        raise _UnreadableError(
            f"it is not UTF-8 (byte {e.start} is 0x{data[e.start]:02x}); if it is text, convert "
            "it: iconv -f ISO-8859-1 -t UTF-8 FILE"
        ) from e
    if "\x00" in text:
        raise _UnreadableError("it is a binary file; only text, HTML and PDF can be read")
    return text


_ATX = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)[ \t#]*$")
_UNDERLINE = re.compile(r"([=\-~^*#\"'+.:_`])\1{2,}\s*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")


def _heading(text: str) -> str | None:
    """The first heading of Markdown or reStructuredText near the beginning."""
    lines = text[:4000].splitlines()
    fenced = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (atx := _ATX.match(line)) and atx[1]:
            return atx[1]
        elif not fenced and line.strip() and _UNDERLINE.match(below):
            name = line.strip()
            if len(below.strip()) >= len(name) and not _UNDERLINE.match(line):
                return name
    return None


def _read_html(data: bytes) -> _Content:
    import bs4
    from bs4.dammit import EncodingDetector

    try:
        markup = _decode(data)
    except _UnreadableError:
        declared = EncodingDetector.find_declared_encoding(data, is_html=True)
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            declared = "utf-16"
        if declared is None:
            raise
        try:
            markup = data.decode(declared)
        except (LookupError, UnicodeError) as e:
            raise _UnreadableError(
                f"it is not in the encoding it declares ({declared}); convert it to UTF-8"
            ) from e
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice for programmers, e.g. on XHTML
        try:
            soup = bs4.BeautifulSoup(markup, "html.parser")
        except (bs4.ParserRejectedMarkup, RecursionError) as e:
            raise _UnreadableError(f"it is not HTML that can be read: {e}") from e
    text = _html_text(soup)
    if not text:
        raise _UnreadableError("it holds no text outside of scripts")
    heading = soup.title or soup.h1
    title = " ".join(heading.get_text().split()) if heading else None
    return _Content(text, title)


_UNSEEN = re.compile("audio|canvas|iframe|noscript|object|script|style|svg|template|title|video")
_BLOCK = re.compile(
    "address|article|aside|blockquote|body|details|dialog|div|dl|fieldset|figure|footer|form|"
    "h[1-6]|header|hr|main|nav|ol|p|pre|section|table|tbody|tfoot|thead|ul"
)
_ROW = re.compile("br|caption|dd|dt|figcaption|legend|li|option|summary|tr")
_CELL = re.compile("td|th")


def _html_text(soup: Any) -> str:
    """Text as a browser lays it out: an empty line between blocks, one line a row or list item."""
    from bs4.element import NavigableString, Tag

    pieces: list[str] = []
    gap = 0
    todo: list[tuple[Any, bool]] = [(soup, False)]  # a stack: pages nest deeper than Python
    while todo:
        node, preformatted = todo.pop()
        if isinstance(node, int):
            gap = max(gap, node)
        elif isinstance(node, Tag) and not _UNSEEN.fullmatch(node.name):
            around = (_gap_around(node.name), False)
            inside = preformatted or node.name == "pre"
            todo += [around, *((child, inside) for child in reversed(node.contents)), around]
        elif type(node) is NavigableString:  # not a comment or another of its subclasses
            text = str(node) if preformatted else re.sub(r"[ \t\r\n\f]+", " ", node)
            if gap or not pieces:
                text = text.lstrip("\n" if preformatted else " ")
            elif not preformatted and pieces[-1][-1].isspace():
                text = text.lstrip(" ")
            if text and pieces and gap:
                pieces[-1] = pieces[-1].rstrip(" \n") + _GAPS[gap]
            if text:
                pieces.append(text)
                gap = 0
    return "".join(pieces).replace("\x00", "").strip()


_GAPS = ("", "\t", "\n", "\n\n")
"""What stands between two pieces of text, from weak to strong; where two meet, the stronger."""


def _gap_around(tag: str) -> int:
    """An index of ``_GAPS``."""
    if _BLOCK.fullmatch(tag):
        return 3
    if _ROW.fullmatch(tag):
        return 2
    return 1 if _CELL.fullmatch(tag) else 0


def _read_pdf(path: Path) -> _Content:
    import pypdf
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        reader = pypdf.PdfReader(path)
        pages = [page.extract_text() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except (FileNotDecryptedError, DependencyError) as e:
        raise _UnreadableError(
            "it is encrypted; save a copy without password: qpdf --decrypt --password=... IN OUT"
        ) from e
    except Exception as e:  # a broken file can raise anything in pypdf
        raise _UnreadableError(
            f"it is a broken PDF ({type(e).__name__}: {e}); print it to a new PDF"
        ) from e
    text = "\n\n".join(filter(None, (page.strip() for page in pages)))
    text = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if not text:
        raise _UnreadableError(
            "it holds no text, perhaps only scanned pages; run OCR: ocrmypdf IN OUT"
        )
    return _Content(text, storable(str(title).strip()) if title else None)
