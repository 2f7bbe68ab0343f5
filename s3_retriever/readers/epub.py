"""EPUB: the chapters of a book in the order in which they are read, by the reader of HTML."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from s3_retriever.quoting import brief
from s3_retriever.readers.base import Content, Reader, UnreadableError, needs_files_extra
from s3_retriever.readers.html import page_content
from s3_retriever.readers.zipped import opened, sound

__all__ = ["READER"]

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"


def _read(data: bytes) -> Content:
    with opened(data, "EPUB", ".epub") as archive, sound("EPUB"):
        if _CONTAINER not in archive.namelist():
            raise UnreadableError("it is a zip archive, but no EPUB")
        title, names = _spine(archive)
        secret = _encrypted(archive)
        chapters = []
        for name in names:
            if name in secret:
                raise UnreadableError(f"its chapter {brief(name)} is encrypted (DRM)")
            chapters.append(page_content(archive.read(name)))
    text = "\n\n".join(chapter.text for chapter in chapters if chapter.text)
    if not text:
        raise UnreadableError("it holds no text, perhaps only pictures")
    guessed = next((chapter for chapter in chapters if chapter.note), Content(""))
    return Content(text, title, guessed.metadata, guessed.note)


def _spine(archive: zipfile.ZipFile) -> tuple[str | None, list[str]]:
    """The book's title, and the names of its chapters."""
    roots = list(_elements(archive, _CONTAINER, "rootfile"))
    if not roots:
        raise UnreadableError("it is a broken EPUB: its container names no book")
    package = roots[0].get("full-path") or ""
    folder = posixpath.dirname(package)
    names = {}
    for item in _elements(archive, package, "item"):
        if "html" in (item.get("media-type") or ""):
            path = unquote((item.get("href") or "").partition("#")[0])
            names[item.get("id")] = posixpath.normpath(posixpath.join(folder, path))
    references = (item.get("idref") for item in _elements(archive, package, "itemref"))
    chapters = dict.fromkeys(names[at] for at in references if at in names)
    there = set(archive.namelist())
    if missing := [name for name in chapters if name not in there]:
        raise UnreadableError(f"it is a broken EPUB: its chapter {brief(missing[0])} is missing")
    titles = ("".join(title.itertext()) for title in _elements(archive, package, "title"))
    title = next((" ".join(text.split()) for text in titles if text.strip()), None)
    return title, list(chapters)


def _encrypted(archive: zipfile.ZipFile) -> set[str]:
    """Names of what is encrypted: chapters by DRM, often only fonts."""
    if _ENCRYPTION not in archive.namelist():
        return set()
    found = _elements(archive, _ENCRYPTION, "CipherReference")
    return {unquote(reference.get("URI") or "") for reference in found}


def _elements(archive: zipfile.ZipFile, name: str, tag: str) -> Iterator[Any]:
    """Elements of a file in the archive, whatever their namespace; entities are left alone."""
    try:
        from lxml import etree
    except ImportError as e:
        raise needs_files_extra("EPUB", e) from e
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return iter(etree.fromstring(archive.read(name), parser).iter(f"{{*}}{tag}"))


READER = Reader((".epub",), _read)
"""Chapters that the spine names; the title is the book's."""
