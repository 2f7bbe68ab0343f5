"""Opening an index: the same checks and the same words for every command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli.display import waiting
from s3_retriever.cli.lean_imports import lean_imports
from s3_retriever.errors import IndexStorageError, InputError
from s3_retriever.paths import is_url
from s3_retriever.quoting import brief, quoted
from s3_retriever.storage.namespaces import check_namespace, namespace_folder

if TYPE_CHECKING:
    from s3_retriever.engine import Engine
    from s3_retriever.storage.base import DocumentStore
    from s3_retriever.storage.manifest import Manifest
    from s3_retriever.storage.postgres.tables import Tables
    from s3_retriever.storage.postgres.url import StoreUrl
    from s3_retriever.storage.postgres.view import PostgresView

__all__ = [
    "Place",
    "bound_torch_caches",
    "existing_manifest",
    "existing_state",
    "open_documents",
    "open_engine",
    "place_of",
    "profile_of",
    "shown",
    "there_is",
]

Place = Path | str
"""A folder, or a ``postgresql://`` URL."""


def place_of(given: str, namespace: str | None = None) -> Place:
    """What ``--index`` and ``--namespace`` name.

    Raises:
        InputError: no name for a namespace.
    """
    if not is_url(given):
        # a shell expands ~ only at the start of a word; Path's own fails for unknown users
        return namespace_folder(Path(os.path.expanduser(given)), namespace)  # noqa: PTH111
    url = _url(given)
    return (url.namespace(check_namespace(namespace)) if namespace else url).with_password


def bound_torch_caches() -> None:
    """Have torch keep 64 prepared matrix products a thread, unless the user says how many.

    There is one a shape, in bfloat16 on a CPU; 1,024, torch's default, come to gigabytes in a
    process whose many threads read texts of all lengths. It has to be said before torch computes.
    """
    os.environ.setdefault("LRU_CACHE_CAPACITY", "64")


def shown(place: Place) -> str:
    """A place without its password.

    Example:
        >>> shown("postgresql://me:secret@db/texts")
        'postgresql://me@db/texts'
    """
    return str(_url(place)) if isinstance(place, str) else str(place)


def there_is(place: Place) -> bool:
    """Whether an index is there.

    Raises:
        IndexStorageError: a server does not answer.
    """
    if isinstance(place, str):
        return _tables(place) is not None
    return (place / "manifest.json").exists()


def existing_manifest(place: Place, *, repair: bool = False) -> Manifest:
    """The manifest of an index that must be there; nothing is created.

    Args:
        place: of the index.
        repair: take the copy where the manifest itself is damaged.

    Raises:
        IndexStorageError: there is no index; says how to make one.
    """
    if isinstance(place, str):
        return existing_state(place).tables.layout.manifest
    folder = place
    from s3_retriever.storage.folder import parts_of_index

    if not parts_of_index(folder):
        raise _nothing_at(str(folder))
    from s3_retriever.storage.check import read_manifest

    return read_manifest(folder, repair=repair)


def existing_state(url: str) -> PostgresView:
    """What an index in PostgreSQL holds, whatever profile it was made with.

    Raises:
        IndexStorageError: there is no index, or the server does not answer.
    """
    tables = _tables(url)
    if tables is None:
        raise _nothing_at(shown(url))
    from s3_retriever.storage.postgres.state import read_state
    from s3_retriever.storage.postgres.view import PostgresView

    return PostgresView(tables, read_state(tables.db))


def _nothing_at(place: str) -> IndexStorageError:
    return IndexStorageError(
        f"no index at {brief(place)}; make one with: s3-retriever index PATH... --index "
        f"{brief(place)}"
    )


def _url(given: str) -> StoreUrl:
    from s3_retriever.storage.stores import need_postgres

    need_postgres()
    from s3_retriever.storage.postgres.url import StoreUrl

    return StoreUrl.parse(given)


def _tables(url: str) -> Tables | None:
    found = _url(url)
    from s3_retriever.storage.postgres.tables import Tables

    return Tables.existing(found)


def profile_of(manifest: Manifest, place: Place) -> str:
    """The shipped profile that an index was made with.

    Raises:
        InputError: it is not a shipped one.
    """
    from s3_retriever.profiles.cards import shipped_profiles

    if manifest.profile not in shipped_profiles():
        raise InputError(
            f"index {brief(shown(place))} was made with profile {quoted(manifest.profile)} for "
            f"{brief(manifest.model)}, which is not a shipped one; give its folder with --profile"
        )
    return manifest.profile


def open_engine(
    place: Place,
    profile: str | None,
    model: str | None,
    device: str | None,
    *,
    create: bool = False,
    first_layers: bool = False,
) -> Engine:
    """Load the model and open the index, saying so meanwhile.

    Args:
        place: of the index.
        profile: a shipped name or a folder; by default the index's own.
        model: other weights of the profile's model.
        device: by default the best.
        create: make the index if there is none; otherwise that is an error.
        first_layers: load no more of the model than reads documents, and questions.
    """
    manifest = existing_manifest(place) if not create or there_is(place) else None
    with waiting(f"opening {brief(shown(place))} ...") as say, lean_imports():
        from s3_retriever.engine import Engine
        from s3_retriever.profiles.cards import DEFAULT_PROFILE, load_card

        if profile is None:
            profile = profile_of(manifest, place) if manifest else DEFAULT_PROFILE
        named = model or load_card(profile).model
        say(f"loading {brief(named)} (the first time, this takes a minute) ...")
        return Engine.from_profile(
            profile, place, model=model, device=device, first_layers=first_layers
        )


def open_documents(place: Place, profile: str | None, *, create: bool = False) -> DocumentStore:
    """Open an index without its model, which is enough to keep it.

    Args:
        place: of the index.
        profile: a shipped name or a folder; by default the index's own.
        create: make the index if there is none; otherwise that is an error.
    """
    manifest = existing_manifest(place) if not create or there_is(place) else None
    with waiting(f"opening {brief(shown(place))} ..."):
        from s3_retriever.profiles.cards import DEFAULT_PROFILE, load_card
        from s3_retriever.storage.stores import open_documents as opened

        if profile is None:
            profile = profile_of(manifest, place) if manifest else DEFAULT_PROFILE
        return opened(place, load_card(profile))
