"""Opening an index: the same checks and the same words for every command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli.display import waiting
from s3_retriever.errors import IndexStorageError, InputError

if TYPE_CHECKING:
    from s3_retriever.engine import Engine
    from s3_retriever.storage.index import Index
    from s3_retriever.storage.manifest import Manifest

__all__ = ["existing_manifest", "open_engine", "open_index", "profile_of"]


def existing_manifest(folder: Path, *, repair: bool = False) -> Manifest:
    """The manifest of an index that must be there; nothing is created.

    Args:
        folder: of the index.
        repair: take the copy where the manifest itself is damaged.

    Raises:
        IndexStorageError: there is no index; says how to make one.
    """
    if not any((folder / name).exists() for name in ("manifest.json", "manifest.copy.json")):
        raise IndexStorageError(
            f"no index at {folder}; make one with: s3-retriever index PATH... --index {folder}"
        )
    from s3_retriever.storage.check import read_manifest

    return read_manifest(folder, repair=repair)


def profile_of(manifest: Manifest, folder: Path) -> str:
    """The shipped profile that an index was made with.

    Raises:
        InputError: it is not a shipped one.
    """
    from s3_retriever.profiles.cards import shipped_profiles

    if manifest.profile not in shipped_profiles():
        raise InputError(
            f"index {folder} was made with profile {manifest.profile!r} for {manifest.model}, "
            "which is not a shipped one; give its folder with --profile"
        )
    return manifest.profile


def open_engine(
    folder: Path,
    profile: str | None,
    model: str | None,
    device: str | None,
    *,
    create: bool = False,
) -> Engine:
    """Load the model and open the index, saying so meanwhile.

    Args:
        folder: the index's folder.
        profile: a shipped name or a folder; by default the index's own.
        model: other weights of the profile's model.
        device: by default the best.
        create: make the index if there is none; otherwise that is an error.
    """
    there = (folder / "manifest.json").exists()
    manifest = existing_manifest(folder) if there or not create else None
    with waiting(f"opening {folder} ...") as say:
        from s3_retriever.engine import Engine
        from s3_retriever.models.transformers import TransformersModel
        from s3_retriever.profiles.cards import DEFAULT_PROFILE
        from s3_retriever.profiles.profile import Profile

        if profile is None:
            profile = profile_of(manifest, folder) if manifest else DEFAULT_PROFILE
        loaded = Profile.load(profile)
        card = loaded.card
        say(f"loading {model or card.model} (the first time, this takes a minute) ...")
        revision = card.revision if model is None else None
        llm = TransformersModel.load(model or card.model, revision=revision, device=device)
        return Engine(llm, loaded, folder)


def open_index(folder: Path, profile: str | None, *, create: bool = False) -> Index:
    """Open an index without its model, which is enough to keep it.

    Args:
        folder: of the index.
        profile: a shipped name or a folder; by default the index's own.
        create: make the index if there is none; otherwise that is an error.
    """
    there = (folder / "manifest.json").exists()
    manifest = existing_manifest(folder) if there or not create else None
    with waiting(f"opening {folder} ..."):
        from s3_retriever.profiles.cards import DEFAULT_PROFILE, load_card
        from s3_retriever.storage.index import Index

        if profile is None:
            profile = profile_of(manifest, folder) if manifest else DEFAULT_PROFILE
        return Index(folder, load_card(profile))
