"""Asking a server in place of loading a model: one that is named, or the one that has the index."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text

from s3_retriever import __version__
from s3_retriever.cli.display import errors
from s3_retriever.cli.opening import Place, open_documents, place_of, shown
from s3_retriever.errors import EndogenousError, InputError, ServerError
from s3_retriever.storage.namespaces import check_namespace

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from s3_retriever.client import Client
    from s3_retriever.storage.base import DocumentStore

__all__ = [
    "URL_VARIABLE",
    "Index",
    "index_of",
    "is_client",
]

URL_VARIABLE = "S3_RETRIEVER_URL"
_PROBE_SECONDS = 10.0
E = TypeVar("E")
T = TypeVar("T")


@dataclass(frozen=True)
class Index:
    """The index that a command works with, and who may be asked about it."""

    place: Place | None
    """``None``: it is known by its server alone."""
    server: Client | None = None
    """That runs around it; loading a model can be spared."""

    @property
    def name(self) -> str:
        """For messages."""
        if self.place is not None:
            return shown(self.place)
        assert self.server is not None
        return self.server.url

    def asking(self, ask: Callable[[E | Client], T], load: Callable[[Place], E]) -> T:
        """What the server says; if it was found by its index and is gone since, what a model says.

        Args:
            ask: to be done with either; it may be done twice.
            load: opens the index with its model.

        Raises:
            EndogenousError: what either says.
        """
        if self.server is not None:
            _note(f"asking the server at {self.server.url}")
            try:
                return ask(self.server)
            except ServerError as e:
                if self.place is None or e.status is not None:  # it is there, and refuses
                    raise
                _note(f"{e}; going on without it")
        assert self.place is not None
        return ask(load(self.place))

    def documents(self, profile: str | None) -> DocumentStore | Client:
        """The documents, for which no model is needed."""
        if self.place is not None:
            return open_documents(self.place, profile)
        assert self.server is not None
        return self.server


def index_of(
    folder: str | None,
    url: str | None,
    namespace: str | None,
    profile: str | None,
    *,
    local: Sequence[object] = (),
    finding: bool = False,
    writing: bool = False,
) -> Index:
    """What ``--index``, ``--url`` (or its variable) and ``--namespace`` name.

    Args:
        folder: of ``--index``.
        url: of ``--url``.
        namespace: of ``--namespace``.
        profile: of ``--profile``.
        local: what was given of options that ask for a model of this process: with any of them no
            server is looked for.
        finding: look for a server that has the index of a folder.
        writing: it has to take documents.

    Raises:
        InputError: neither is given, or both are.
    """
    if folder is not None:
        if url is not None:
            raise InputError("give either --index or --url, not both")
        place = place_of(folder, namespace)
        asked = finding and not any(value is not None for value in local)
        root = place_of(folder)
        found = _found(root, namespace, writing) if asked and isinstance(root, Path) else None
        return Index(place, found)
    url = url or os.environ.get(URL_VARIABLE) or None
    if url is None:
        raise InputError(f"give --index, or --url (or {URL_VARIABLE}) of a server that has one")
    if any(value is not None for value in (profile, *local)):
        raise InputError("profile, model and device are the server's; leave them out with --url")
    try:
        from s3_retriever.client import Client
    except ImportError as e:
        raise InputError(str(e)) from e
    return Index(None, Client(url, namespace=check_namespace(namespace) if namespace else None))


def is_client(asked: object) -> TypeIs[Client]:
    """Whether a server is asked; where no client was made, its library need not be there."""
    module = sys.modules.get("s3_retriever.client.client")
    return module is not None and isinstance(asked, module.Client)


def _found(index: Path, namespace: str | None, writing: bool) -> Client | None:
    """The server that has an index, if it answers here, as the same release, to whoever we are."""
    from s3_retriever.server.announcing import announced

    said = announced(index)
    if said is None:
        return None
    try:
        import httpx

        from s3_retriever.client import Client
    except ImportError:  # an extra, without which everything is done here
        return None
    client = Client(said.url, namespace=namespace)
    try:
        health = httpx.get(f"{said.url}/healthz", timeout=_PROBE_SECONDS).json()
        if not isinstance(health, dict) or health.get("instance") != said.instance:
            return None  # the port is somebody else's by now, who gets no token
        info = client.info()
    except (httpx.HTTPError, ValueError, EndogenousError):
        return None
    fits = info.version == __version__ and info.namespace == namespace
    return client if fits and (info.writable or not writing) else None


def _note(message: str) -> None:
    errors.print(Text(message, "dim"), soft_wrap=True)
