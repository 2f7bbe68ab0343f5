"""What a server allows, and how much of it at a time."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ServerSettings"]


class ServerSettings(BaseModel):
    """Bounds of one server.

    Example:
        >>> ServerSettings().most_waiting
        64
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    most_body_bytes: int = Field(default=16 << 20, ge=1024)
    """Largest body of a request; more is answered 413."""
    most_nesting: int = Field(default=64, ge=4)
    """Lists and objects inside each other in a body of JSON; more is answered 400."""
    body_seconds: float = Field(default=60.0, gt=0)
    """Longest time in which a body has to arrive; later is answered 408."""
    most_waiting: int = Field(default=64, ge=1)
    """Questions that wait or are being answered; one more is answered 429."""
    most_batch: int = Field(default=32, ge=1)
    """Questions that are projected together."""
    batch_wait_ms: float = Field(default=2.0, ge=0)
    """How long a question waits for others, if others are being answered at all."""
    search_threads: int = Field(default=2, ge=1)
    """Threads that search while the next questions are projected."""
    search_processes: int = Field(default=0, ge=0)
    """Processes that search in their place, where an index is in a folder and the system can
    fork: threads of Python compute one at a time."""
    most_works: int = Field(default=4, ge=1)
    """Answers being written, texts being compressed, documents being ranked, together; as many
    again wait, and one more is answered 429."""
    most_jobs: int = Field(default=256, ge=1)
    """Jobs that wait; one more is answered 429."""
    give_way_seconds: float = Field(default=2.0, ge=0)
    """Longest time that reading documents pauses between two batches while there are questions."""
    shutdown_seconds: int = Field(default=30, ge=0)
    """How long answers may take to end once the server is told to stop."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may ask, e.g. ``https://example.org``."""
