"""Who may ask: bearer tokens, and the namespaces that each is bound to."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from s3_retriever.errors import InputError
from s3_retriever.quoting import brief
from s3_retriever.server.schemas.base import Namespace

__all__ = ["ANYBODY", "Caller", "TokenRecord", "Tokens", "hashed"]

logger = logging.getLogger(__name__)

_SHORTEST = 16
_SECRET = re.compile(f"[!-~]{{{_SHORTEST},}}")


@dataclass(frozen=True)
class Caller:
    """Whoever asks, and what they may."""

    name: str
    """For logs and metrics."""
    namespaces: tuple[str, ...] | None = None
    """The only ones; ``None``: every one, and the index itself."""
    writable: bool = True
    """Whether documents may be added, changed and deleted."""
    per_minute: int | None = None
    """Requests; ``None`` is no limit."""

    def namespace(self, wanted: str | None) -> str | None:
        """The namespace of a request that names ``wanted``; ``None`` is the index itself.

        Raises:
            PermissionError: it is another's.

        Example:
            >>> Caller("team", ("a", "b")).namespace(None), Caller("admin").namespace("b")
            ('a', 'b')
        """
        if self.namespaces is None:
            return wanted
        if wanted is None:
            return self.namespaces[0]
        if wanted not in self.namespaces:
            raise PermissionError("this token may not use that namespace")
        return wanted


ANYBODY = Caller("anybody")
"""Who asks a server without tokens."""


class TokenRecord(BaseModel):
    """A token as the file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    """Who has it."""
    token: str | None = None
    """The secret itself, at least 16 characters; or"""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """its SHA-256, so that the file holds no secret."""
    namespaces: Annotated[tuple[Namespace, ...], Field(min_length=1)] | None = None
    """The only ones it may use, the first by default; null: all, and the index itself."""
    write: bool = True
    """Whether it may add, change and delete documents."""
    per_minute: Annotated[int, Field(ge=1)] | None = None
    """Most requests."""

    @model_validator(mode="after")
    def _one_secret(self) -> TokenRecord:
        if (self.token is None) == (self.sha256 is None):
            raise ValueError("give either token or sha256")
        if self.token is not None and not _SECRET.fullmatch(self.token):
            raise ValueError(f"a token has at least {_SHORTEST} visible ASCII characters")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the secret."""
        return self.sha256 or hashed(self.token or "")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tokens: Annotated[list[TokenRecord], Field(min_length=1)]


def hashed(token: str) -> str:
    """SHA-256 of a token, in hexadecimal digits.

    Example:
        >>> hashed("a")[:8]
        'ca978112'
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """The tokens that a server knows.

    Example:
        >>> tokens = Tokens([TokenRecord(name="web", token="0123456789abcdef", write=False)])
        >>> tokens.caller("0123456789abcdef").name, tokens.caller("another")
        ('web', None)
    """

    def __init__(self, records: list[TokenRecord]) -> None:
        """Take them.

        Raises:
            InputError: two have the same name or secret.
        """
        if len({r.name for r in records}) < len(records):
            raise InputError("two tokens have the same name")
        if len({r.digest for r in records}) < len(records):
            raise InputError("two tokens have the same secret")
        self._callers = [
            (r.digest, Caller(r.name, r.namespaces, r.write, r.per_minute)) for r in records
        ]

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Read a file: ``{"tokens": [{"name": ..., "token": ...}]}``.

        Raises:
            InputError: it cannot be read or says nothing usable; quotes no secret.
        """
        try:
            content = path.read_bytes()
            if path.stat().st_mode & 0o077:
                logger.warning("the token file can be read by others: chmod 600 it")
            found = _File.model_validate(json.loads(content))
        except OSError as e:
            raise InputError(f"the token file cannot be read: {e.strerror}") from e
        except ValidationError as e:
            first = e.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"the token file: {brief(where)}: {first['msg']}") from None
        except (ValueError, RecursionError):
            raise InputError("the token file is not JSON") from None
        return cls(found.tokens)

    def caller(self, token: str) -> Caller | None:
        """Whose token it is; it takes the same time whether or how much of it is right."""
        digest = hashed(token)
        found = None
        for known, caller in self._callers:
            if hmac.compare_digest(known, digest):
                found = caller
        return found
