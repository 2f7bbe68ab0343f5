"""The errors a caller can meet; each message says what is wrong and what to do."""

from __future__ import annotations

from s3_retriever.quoting import one_line

__all__ = [
    "EndogenousError",
    "IndexLockedError",
    "IndexMismatchError",
    "IndexStorageError",
    "InputError",
    "ModelError",
    "NotLoadedError",
    "ProfileError",
    "RunnerError",
    "ServerError",
]


class EndogenousError(Exception):
    """Base class of every error raised on purpose by this library.

    Its message is printable and on one line, whatever it quotes.
    """

    def __init__(self, message: str = "") -> None:
        """Say what is wrong, and what to do."""
        super().__init__(one_line(message))


class InputError(EndogenousError, ValueError):
    """A document, question or setting that cannot be used; names the field or the document."""


class ModelError(EndogenousError):
    """A language model that cannot be found, read, or whose architecture is not supported."""


class NotLoadedError(ModelError):
    """Something that takes the whole model, asked of one of which only a part is in memory."""


class ProfileError(EndogenousError):
    """A profile that is missing, damaged, or made for another model."""


class RunnerError(EndogenousError):
    """Processes elsewhere, which should read documents, that cannot be reached or started."""


class IndexStorageError(EndogenousError):
    """An index folder that cannot be read or written, or whose files are damaged."""


class IndexMismatchError(IndexStorageError):
    """An index that was written with another profile or schema version."""


class IndexLockedError(IndexStorageError):
    """An index that another process is writing to at this moment."""


class ServerError(EndogenousError):
    """A server that cannot be reached, refuses a token, has too much to do, or made a mistake."""

    def __init__(
        self, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        """Say what is wrong.

        Args:
            message: for people.
            status: of HTTP, if there was a response.
            request_id: under which the server's log has the request.
        """
        super().__init__(message)
        self.status = status
        self.request_id = request_id
