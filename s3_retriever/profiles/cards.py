"""Finding profiles and reading their cards, which takes neither their weights nor a model."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from s3_retriever.errors import ProfileError
from s3_retriever.profiles.card import SCHEMA, ProfileCard

__all__ = ["DEFAULT_PROFILE", "find_profile", "load_card", "shipped_profiles"]

DEFAULT_PROFILE = "smollm2-135m-instruct"


def load_card(name_or_folder: str | Path) -> ProfileCard:
    """What the profile of a shipped name or in a folder says of itself.

    Example:
        >>> load_card("smollm2-135m-instruct").model
        'HuggingFaceTB/SmolLM2-135M-Instruct'

    Raises:
        ProfileError: nothing there, or it cannot be read or is of a newer schema.
    """
    folder = find_profile(name_or_folder)
    try:
        record = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("profile.json holds no object")
        if record.get("schema_version") != SCHEMA:
            raise ProfileError(
                f"profile {folder} has schema version {record.get('schema_version')}, this "
                f"release reads {SCHEMA}; upgrade s3-retriever or train the profile again"
            )
        return ProfileCard.model_validate(record)
    except (OSError, ValueError, ValidationError) as e:
        raise ProfileError(f"{folder / 'profile.json'} cannot be read: {e}") from e


def shipped_profiles() -> dict[str, Path]:
    """Profiles inside the package, by name."""
    root = Path(str(resources.files("s3_retriever"))) / "data" / "profiles"
    return {p.parent.name: p.parent for p in sorted(root.glob("*/profile.json"))}


def find_profile(name_or_folder: str | Path) -> Path:
    """The folder of a shipped profile by name, or of any by its path.

    Raises:
        ProfileError: there is none.
    """
    shipped = shipped_profiles()
    if str(name_or_folder) in shipped:
        return shipped[str(name_or_folder)]
    folder = Path(name_or_folder).expanduser()
    if not (folder / "profile.json").is_file():
        raise ProfileError(
            f"no profile {str(name_or_folder)!r}: it is neither shipped ({', '.join(shipped)}) "
            "nor a folder with a profile.json; make one with: s3-retriever adopt MODEL ..."
        )
    return folder
