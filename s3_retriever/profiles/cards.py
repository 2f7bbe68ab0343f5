"""Finding profiles and reading their cards, which takes neither their weights nor a model."""

from __future__ import annotations

import json
import math
from importlib import resources
from pathlib import Path

from s3_retriever.errors import ProfileError
from s3_retriever.paths import bound
from s3_retriever.profiles.card import SCHEMA, ProfileCard
from s3_retriever.quoting import brief, quoted, why

__all__ = ["DEFAULT_PROFILE", "bound_profile", "find_profile", "load_card", "shipped_profiles"]

_MAX_CARD = 16 << 20
"""Bytes; what is larger is no card, and is not read into memory."""

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
        content = _content_of(folder / "profile.json")
        record = json.loads(content, parse_float=_finite, parse_constant=_finite)
        if not isinstance(record, dict):
            raise ValueError("profile.json holds no object")
        if record.get("schema_version") != SCHEMA:
            raise ProfileError(
                f"profile {brief(folder)} has schema version {record.get('schema_version')}, this "
                f"release reads {SCHEMA}; upgrade s3-retriever or train the profile again"
            )
        return ProfileCard.model_validate(record)
    except (OSError, ValueError, RecursionError) as e:  # pydantic's errors are ValueErrors
        raise ProfileError(f"{brief(folder / 'profile.json')} cannot be read: {why(e)}") from e


def _content_of(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_CARD + 1)
    if len(content) > _MAX_CARD:
        raise ValueError(f"it has more than {_MAX_CARD >> 20} MiB")
    return content.decode("utf-8")


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is no number that can be used")
    return value


def shipped_profiles() -> dict[str, Path]:
    """Profiles inside the package, by name."""
    root = Path(str(resources.files("s3_retriever"))) / "data" / "profiles"
    return {p.parent.name: p.parent for p in sorted(root.glob("*/profile.json"))}


def find_profile(name_or_folder: str | Path) -> Path:
    """The folder of a shipped profile by name, or of any by its path.

    A :class:`~pathlib.Path` is always a folder's, whatever its name; a string that names a shipped
    profile is that one, so ``./NAME`` means a folder here.

    Raises:
        ProfileError: there is none.
    """
    shipped = shipped_profiles()
    if isinstance(name_or_folder, str) and name_or_folder in shipped:
        return shipped[name_or_folder]
    folder = bound(name_or_folder)
    try:
        there = (folder / "profile.json").is_file()
    except OSError as e:  # a name too long, a folder that may not be looked into
        raise ProfileError(f"profile {brief(folder)} cannot be read: {e.strerror}") from e
    if not there:
        raise ProfileError(
            f"no profile {quoted(name_or_folder)}: it is neither shipped ({', '.join(shipped)}) "
            "nor a folder with a profile.json; make one with: s3-retriever adopt MODEL ..."
        )
    return folder


def bound_profile(name_or_folder: str | Path) -> str:
    """A shipped name as it is, a folder as its absolute path: what can be kept and opened later.

    Example:
        >>> bound_profile("smollm2-135m-instruct")
        'smollm2-135m-instruct'
    """
    if isinstance(name_or_folder, str) and name_or_folder in shipped_profiles():
        return name_or_folder
    return str(bound(name_or_folder))
