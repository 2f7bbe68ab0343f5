"""Walking files and folders, and the ids of the documents they become."""

from __future__ import annotations

import logging
import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.paths import bound
from s3_retriever.plain import plain_text
from s3_retriever.quoting import brief, why
from s3_retriever.readers.base import Content, UnreadableError
from s3_retriever.readers.registry import reader_for, suffixes
from s3_retriever.types import Document
from s3_retriever.validation import is_blank

__all__ = ["FilesRead", "absolute_path", "read_content", "read_files", "storable_path"]


_ODD_NAME = re.compile("[^/]*[\ud800-\udfff][^/]*")

_KINDS = mimetypes.MimeTypes()  # Python's own table, whatever the machine has in others
logger = logging.getLogger(__name__)

_MAX_BYTES = 1 << 30
_TOO_LARGE = f"it has more than {_MAX_BYTES >> 20} MiB; split it into parts"


@dataclass(frozen=True)
class FilesRead:
    """What was found under some paths."""

    documents: tuple[Document, ...]
    """One a file, in the order of the paths, sorted within a folder."""
    skipped: Mapping[str, str] = field(hash=False)
    """Files that could not be used: the reason, and what to do about it, by path."""
    passed_over: Mapping[str, str] = field(hash=False)
    """Files in folders that no reader takes, and hidden folders: what they are, by path."""
    twins: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Paths that lead to a file which is read by another path already, and that path; they are in
    ``skipped`` too."""
    notes: Mapping[str, str] = field(default_factory=dict, hash=False)
    """How a file was read, where that may be wrong (an encoding that was guessed), by path."""


def read_files(
    paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None
) -> FilesRead:
    """Read files, and all files of known kinds in folders and the folders below.

    A document's id is its file's absolute path (``/home/lena/notes/start.md``), or with ``root``
    its path below that folder (``start.md``): never does it depend on what else is read, so two
    files have two ids. Its metadata are the absolute ``path`` and a ``title``: the first heading,
    the page's title, or the file's name; ``page_starts`` where it has pages
    (:mod:`s3_retriever.pages`) and ``encoding`` where that was guessed. Plain text stays exactly as
    it is in the file, line ends included, but for a byte order mark.

    A file given by name whose suffix no reader knows is read as text. Hidden folders (``.git``)
    and files of other kinds are left alone, and named; links that lead out of a given folder are
    not followed. A file that several paths lead to, by links, is one document: under its own path
    if that is among them, else under the first. One path alone is a list of one.

    Args:
        paths: files and folders; ``~`` is expanded.
        root: a folder that may move, with all that is read: ids are paths below it.

    Raises:
        InputError: something else than paths.

    Example:
        >>> files = read_files(["no-such-file.txt"])
        >>> files.documents, dict(files.skipped)
        ((), {'no-such-file.txt': 'there is no such file or folder'})
    """
    found: dict[Path, None] = {}
    skipped: dict[str, str] = {}
    passed_over: dict[str, str] = {}
    notes: dict[str, str] = {}
    known = suffixes()
    for given in listed(paths, "paths"):
        try:
            path = absolute_path(given)
        except InputError as e:
            if not isinstance(given, str):
                raise
            skipped[given] = str(e)
            continue
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except (OSError, ValueError) as e:
            skipped[storable_path(given)] = f"it cannot be read: {why(e)}"
            continue
        if is_folder:
            for inside in _walk(path, skipped, passed_over):
                if inside.suffix.lower() in known:
                    found.setdefault(inside)
                else:
                    passed_over[storable_path(inside)] = _kind(inside)
        elif is_there:
            found.setdefault(path)
        else:
            skipped[storable_path(given)] = "there is no such file or folder"

    documents = []
    top = None if root is None else absolute_path(root)
    twins = _twins(file for file in found if top is None or file.is_relative_to(top))
    for file in found:
        path_text = storable_path(file)
        if top is not None and not file.is_relative_to(top):
            skipped[path_text] = f"it is not below {brief(top)}, where ids begin"
            continue
        if file in twins:
            skipped[path_text] = f"it leads to {brief(twins[file])}, which is read"
            continue
        try:
            content = _read(file)
        except UnreadableError as e:
            skipped[path_text] = str(e)
            continue
        doc_id = storable_path((file if top is None else file.relative_to(top)).as_posix())
        title = content.title or plain_text(file.name)
        metadata = {**content.metadata, "path": path_text, "title": title}
        documents.append(Document(doc_id, content.text, metadata))
        if content.note:
            notes[path_text] = content.note
    named = {storable_path(file): storable_path(other) for file, other in twins.items()}
    return FilesRead(tuple(documents), skipped, passed_over, named, notes)


def _twins(found: Iterable[Path]) -> dict[Path, Path]:
    """Paths by which no file is read, because another one of ``found`` leads to it as well."""
    chosen: dict[str, Path] = {}
    twins: dict[Path, Path] = {}
    for file in sorted(found, key=lambda path: str(path) != os.path.realpath(path)):
        first = chosen.setdefault(os.path.realpath(file), file)
        if first is not file:
            twins[file] = first
    return twins


def absolute_path(path: str | Path) -> Path:
    """A path as ids and metadata have it: absolute, without ``..``, links as they are."""
    return Path(os.path.abspath(bound(path)))  # noqa: PTH100 resolve() would follow links


def storable_path(path: str | Path) -> str:
    """A path as UTF-8 can hold it: names are bytes, and odd ones are written out.

    A digest at their end tells them from files whose names are what was written out.
    """
    return _ODD_NAME.sub(_written_out, str(path))


def _written_out(name: re.Match[str]) -> str:
    digest = sha256(name[0].encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain_text(name[0])}#{digest[:8]}"


def _walk(root: Path, skipped: dict[str, str], passed_over: dict[str, str]) -> Iterator[Path]:
    """Files below ``root``, sorted; folders that are not entered go to the other two."""
    inside = os.path.realpath(root)

    def cannot_list(error: OSError) -> None:
        skipped[storable_path(error.filename)] = f"the folder cannot be listed: {error.strerror}"

    for folder, folders, files in os.walk(root, onerror=cannot_list):
        hidden = sorted(name for name in folders if name.startswith("."))
        passed_over.update(
            (storable_path(Path(folder, name)), "a hidden folder") for name in hidden
        )
        folders[:] = sorted(set(folders).difference(hidden))
        for name in [*folders, *sorted(files)]:
            path = Path(folder, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                skipped[storable_path(path)] = "it is a link that leads out of the folder given"
            elif name not in folders:
                yield path


def _kind(path: Path) -> str:
    """What a file is that no reader takes, by its name."""
    if not path.suffix:
        return "its name has no suffix; to have it read as text, give it by name"
    kind, packed = _KINDS.guess_type(f"a{path.suffix.lower()}")
    kind = f" ({packed or kind})" if packed or kind else ""
    return f"no reader takes {brief(path.suffix)}{kind}"


def _read(path: Path) -> Content:
    try:
        if not path.is_file():  # reading a pipe would wait for ever
            raise UnreadableError("it is neither a file nor a folder")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > _MAX_BYTES:  # before anything is read
                raise UnreadableError(_TOO_LARGE)
            data = file.read(_MAX_BYTES + 1)  # some files have more than they say
    except (OSError, ValueError) as e:
        raise UnreadableError(f"it cannot be read: {getattr(e, 'strerror', None) or e}") from e
    return read_content(data, path.suffix)


def read_content(data: bytes, suffix: str) -> Content:
    r"""The text of a file's bytes.

    Args:
        data: all of them.
        suffix: of the file's name, in any case.

    Raises:
        UnreadableError: they hold no text, or their reader fails.

    Example:
        >>> read_content(b"# Mill\n\nIt is old.", ".md").title
        'Mill'
    """
    if not data:
        raise UnreadableError("it is empty")
    if len(data) > _MAX_BYTES:
        raise UnreadableError(_TOO_LARGE)
    try:
        content = reader_for(suffix, data).read(data)
    except UnreadableError:
        raise
    except Exception as e:  # a reader's own fault: the other files are read all the same
        logger.debug("reading a %s file failed", suffix, exc_info=True)
        raise UnreadableError(f"its reader failed ({type(e).__name__})") from e
    if is_blank(content.text):
        raise UnreadableError("it holds nothing but white space")
    return content
