"""Addresses of indexes in PostgreSQL: libpq's own URLs, and what the library adds to them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted

__all__ = ["DEFAULT_SCHEMA", "StoreUrl"]

DEFAULT_SCHEMA = "s3_retriever"
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_NAMESPACE = "__"
"""Between the name of an index and that of one of its namespaces."""
_MOST_PARTITIONS = 1024


@dataclass(frozen=True)
class StoreUrl:
    """Where an index lies: a database, and one of its schemas.

    Example:
        >>> url = StoreUrl.parse("postgresql://me:secret@db/texts?schema=notes&sslmode=require")
        >>> url.schema, url.conninfo
        ('notes', 'postgresql://me:secret@db/texts?sslmode=require')
        >>> str(url)
        'postgresql://me@db/texts?sslmode=require&schema=notes'
    """

    conninfo: str
    """What libpq gets, a password included: not to be shown."""
    schema: str = DEFAULT_SCHEMA
    partitions: int | None = None
    """Of a new index; ``None`` is the default, or what an index that is there has."""
    partial: bool = False
    """Whether a question goes on without the partitions of servers that do not answer."""

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """Take a URL apart.

        Args:
            url: ``postgresql://user@host/database``, with parameters of libpq and our own:
                ``schema``, ``partitions`` and ``partial``.

        Raises:
            InputError: one of our own parameters is wrong.
        """
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True)
        own = {name: value for name, value in given if name in ("schema", "partitions", "partial")}
        rest = urlencode([pair for pair in given if pair[0] not in own], quote_via=quote)
        schema = own.get("schema", DEFAULT_SCHEMA)
        if not all(map(_NAME.fullmatch, schema.split(_NAMESPACE, 1))):
            raise InputError(
                f"schema {quoted(schema)}: use 1 to 31 of a-z, 0-9, _ and -, with a letter or _ "
                "first"
            )
        partitions = own.get("partitions")
        if partitions is not None and not (
            partitions.isdecimal() and 0 < int(partitions) <= _MOST_PARTITIONS
        ):
            raise InputError(f"partitions is a number from 1 to {_MOST_PARTITIONS}")
        if own.get("partial", "false") not in ("true", "false"):
            raise InputError("partial is true or false")
        return cls(
            urlunsplit(parts._replace(query=rest)),
            schema,
            int(partitions) if partitions else None,
            own.get("partial") == "true",
        )

    def namespace(self, name: str) -> StoreUrl:
        """The address of a namespace: a schema of its own."""
        return replace(self, schema=f"{self.schema}{_NAMESPACE}{name}")

    def namespace_in(self, schema: str) -> str | None:
        """The name of the namespace that lies in ``schema``, if it is one of this index."""
        before, between, name = schema.partition(_NAMESPACE)
        return name if before == self.schema and between and name else None

    def __str__(self) -> str:
        """The address without its password, as it may be shown and kept."""
        parts = urlsplit(self.conninfo)
        user, at, host = parts.netloc.rpartition("@")
        given = [
            pair for pair in parse_qsl(parts.query) if pair[0] not in ("password", "sslpassword")
        ]
        return self._of(parts._replace(netloc=f"{user.partition(':')[0]}{at}{host}"), given)

    @property
    def with_password(self) -> str:
        """The whole address; not to be shown."""
        parts = urlsplit(self.conninfo)
        return self._of(parts, parse_qsl(parts.query))

    def _of(self, parts: SplitResult, given: list[tuple[str, str]]) -> str:
        own = [("schema", self.schema)] if self.schema != DEFAULT_SCHEMA else []
        if self.partitions is not None:
            own.append(("partitions", str(self.partitions)))
        if self.partial:
            own.append(("partial", "true"))
        query = urlencode([*given, *own], quote_via=quote, safe="/,:")
        return urlunsplit(parts._replace(query=query))

    def __repr__(self) -> str:
        return f"StoreUrl({str(self)!r})"

    @property
    def host(self) -> str:
        """The server or servers, for messages."""
        parts = urlsplit(self.conninfo)
        by_parameter = dict(parse_qsl(parts.query))
        named = parts.netloc.rpartition("@")[2] or by_parameter.get("host")
        return named or os.environ.get("PGHOST") or "the local server"
