"""What an engine is made of, as plain values that can be written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, quoted
from s3_retriever.settings import RetrieveSettings, ScanSettings
from s3_retriever.storage.documents import Documents

__all__ = ["EngineConfig", "shown_engine"]


class EngineConfig(BaseModel):
    """Enough to make an engine again; the device and dtype belong to a machine.

    Example:
        >>> EngineConfig(profile="smollm2-135m-instruct").path is None
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    profile: str
    """A shipped name or a profile's folder."""
    model: str | None = None
    """Other weights of the profile's model."""
    path: str | None = None
    """The index's folder, or its URL without a password; ``None`` is one in memory, whose documents
    are not in here."""
    scan: ScanSettings = ScanSettings()
    """Chunk and batch sizes."""
    retrieve: RetrieveSettings | None = None
    """Every stage's settings; ``None``: the profile's."""

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> EngineConfig:
        """What was written down before.

        Raises:
            InputError: it is no engine's; names the field.
        """
        try:
            return cls.model_validate(config)
        except ValidationError as e:
            first = e.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise InputError(f"this is no engine's config: {brief(where)}: {first['msg']}") from e


def shown_engine(engine: Any) -> str:
    """What an engine is, for people who look at one.

    How much it holds is said of an index in a folder or in memory: a database is not asked.

    Args:
        engine: an :class:`~s3_retriever.Engine`.
    """
    documents = engine.documents
    parts = {
        "profile": engine.profile.card.name,
        "model": engine.llm.name,
        "path": documents.location,
    }
    if isinstance(documents, Documents):
        parts["documents"] = len(documents.index.snapshot.live)
    return f"Engine({', '.join(f'{name}={quoted(value)}' for name, value in parts.items())})"
