"""Walking files and folders, and the ids of the documents they become."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from s3_retriever.readers.base import Content, UnreadableError
from s3_retriever.readers.registry import reader_for, suffixes
from s3_retriever.types import Document

__all__ = ["FilesRead", "read_files"]


@dataclass(frozen=True)
class FilesRead:
    """What was found under some paths."""

    documents: tuple[Document, ...]
    """One a file, in the order of the paths, sorted within a folder."""
    skipped: Mapping[str, str]
    """Files that could not be used: the reason, and what to do about it, by path."""
    passed_over: int
    """Files in folders that no reader takes."""


@dataclass(frozen=True)
class _Found:
    """A file to be read, and how much of its path is its id."""

    path: Path
    """Absolute."""
    depth: int
    """Parts of the path below the given folder; 1 for a file given by name."""

    def name(self, above: int) -> str:
        """The last parts of the path, with ``above`` more than the id needs, as POSIX."""
        return _storable(Path(*self.path.parts[-(self.depth + above) :]).as_posix())


def read_files(paths: Iterable[str | Path]) -> FilesRead:
    """Read files, and all files of known kinds in folders and the folders below.

    A document's id is its path below the given folder (``guide/start.md``), or the file's name if
    the file itself was given; where two would be the same, as many parent folders as needed are
    put before both. Its metadata are the absolute ``path`` and a ``title``: the first heading,
    the page's title, or the file's name. Plain text stays exactly as it is in the file, line ends
    included, but for a byte order mark.

    A file given by name whose suffix no reader knows is read as UTF-8 text. Hidden folders
    (``.git``) are left alone, and links that lead out of a given folder are not followed.

    Example:
        >>> files = read_files(["no-such-file.txt"])
        >>> files.documents, dict(files.skipped)
        ((), {'no-such-file.txt': 'there is no such file or folder'})
    """
    found: dict[Path, _Found] = {}
    skipped: dict[str, str] = {}
    passed_over = 0
    known = suffixes()
    for given in paths:
        path = Path(os.path.abspath(given))  # noqa: PTH100 resolve() would follow links
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except (OSError, ValueError) as e:
            skipped[_storable(str(given))] = f"it cannot be read: {e}"
            continue
        if is_folder:
            for inside in _walk(path, skipped):
                if inside.suffix.lower() in known:
                    depth = len(inside.parts) - len(path.parts)
                    found.setdefault(inside, _Found(inside, depth))
                else:
                    passed_over += 1
        elif is_there:
            found.setdefault(path, _Found(path, 1))
        else:
            skipped[_storable(str(given))] = "there is no such file or folder"

    documents = []
    for file, name in zip(found.values(), _unique_names(list(found.values())), strict=True):
        path_text = _storable(str(file.path))
        try:
            content = _read(file.path)
        except UnreadableError as e:
            skipped[path_text] = str(e)
            continue
        title = content.title or _storable(file.path.name)
        documents.append(Document(name, content.text, {"path": path_text, "title": title}))
    return FilesRead(tuple(documents), skipped, passed_over)


def _storable(name: str) -> str:
    """A file's name as UTF-8 can hold it (POSIX names are bytes; odd ones are escaped)."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _walk(root: Path, skipped: dict[str, str]) -> Iterator[Path]:
    """Files below ``root``, sorted; what cannot be entered goes to ``skipped``."""
    inside = os.path.realpath(root)

    def cannot_list(error: OSError) -> None:
        skipped[_storable(str(error.filename))] = f"the folder cannot be listed: {error.strerror}"

    for folder, folders, files in os.walk(root, onerror=cannot_list):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [*folders, *sorted(files)]:
            path = Path(folder, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                skipped[_storable(str(path))] = "it is a link that leads out of the folder given"
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


def _read(path: Path) -> Content:
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise UnreadableError("it is neither a file nor a folder")
        data = path.read_bytes()
    except OSError as e:
        raise UnreadableError(f"it cannot be read: {e.strerror}") from e
    if not data:
        raise UnreadableError("it is empty")
    content = reader_for(path.suffix, data).read(data)
    if not content.text.strip():
        raise UnreadableError("it holds nothing but white space")
    return content
