"""What an engine is made of, as plain values that can be written down."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from s3_retriever.settings import RetrieveSettings, ScanSettings

__all__ = ["EngineConfig"]


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
    """The index's folder; ``None`` is one in memory, whose documents are not in here."""
    scan: ScanSettings = ScanSettings()
    """Chunk and batch sizes."""
    retrieve: RetrieveSettings | None = None
    """Every stage's settings; ``None``: the profile's."""
