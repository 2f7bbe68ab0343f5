"""Engines, clients and chat models of what a component's constructor was given."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AfterValidator, SecretStr

from s3_retriever.client import Client, RemoteChat
from s3_retriever.errors import InputError
from s3_retriever.integration.remote import RemoteSource
from s3_retriever.integration.source import Source
from s3_retriever.models.base import LanguageModel

if TYPE_CHECKING:
    from s3_retriever.engine import Engine

__all__ = [
    "AnyEngine",
    "chat_from_config",
    "connected",
    "engine_from_config",
    "made",
    "open_engine",
    "opened",
    "renamed_argument",
    "restored",
    "source_of",
]

_OF_ENGINE = ("model", "device", "dtype", "scan", "retrieve")
_OF_CLIENT = ("token", "namespace", "timeout")

T = TypeVar("T")


def source_of(engine: Engine | Client) -> Source:
    """What does a component's work.

    Args:
        engine: in this process, or a client of a server's.

    Raises:
        InputError: it is neither.
    """
    if isinstance(engine, Client):
        return RemoteSource(engine)
    # torch comes with these: who has a client only never gets here
    from s3_retriever.engine import Engine
    from s3_retriever.integration.local import LocalSource

    if not isinstance(engine, Engine):
        raise InputError(f"engine must be an Engine or a Client, not a {type(engine).__name__}")
    return LocalSource(engine)


def _any_engine(engine: Any) -> Any:
    source_of(engine)
    return engine


if TYPE_CHECKING:
    AnyEngine = Engine | Client
else:  # as a field of pydantic's, which look at what they are given, without importing torch
    AnyEngine = Annotated[Any, AfterValidator(_any_engine)]


def connected(
    engine: T | None,
    url: str | None,
    token: str | SecretStr | None = None,
    namespace: str | None = None,
    timeout: float | None = None,
) -> T | Client:
    """The engine that a constructor was given, or a client of the server that it was.

    Args:
        engine: or
        url: one of both.
        token: as of :class:`~s3_retriever.client.Client`.
        namespace: as there.
        timeout: as there.

    Raises:
        InputError: both or none, or an argument of the client that cannot be used.
    """
    if (engine is None) == (url is None):
        raise InputError(
            "give either an engine or a server's url; from_profile(path=...) opens an index"
        )
    if engine is not None:
        if token is not None or namespace is not None or timeout is not None:
            raise InputError(
                "token, namespace and timeout belong to a url; an engine has engine.namespace(name)"
            )
        return engine
    assert url is not None
    client = partial(Client, url, token=token, namespace=namespace)
    return client() if timeout is None else client(timeout=timeout)


def opened(data: Any, field: str, of: Callable[[Client], Any]) -> Any:
    """A component's fields, where a url was given with what it gives access to in its place.

    Args:
        data: of a pydantic model, before it is validated.
        field: takes what is made of the client.
        of: makes it.

    Raises:
        InputError: a url and the field.
    """
    if not isinstance(data, Mapping) or data.get("url") is None:
        return data
    own = {name: value for name, value in data.items() if name not in ("url", *_OF_CLIENT)}
    given = {name: data[name] for name in ("url", *_OF_CLIENT) if name in data}
    client = connected(own.get(field), **given)
    return own | {field: of(client)}


def open_engine(
    profile: Any, path: Any, options: Mapping[str, Any]
) -> tuple[Engine, dict[str, Any]]:
    """Load an engine, and give back the options that are not its own.

    Args:
        profile: as of :meth:`Engine.from_profile`.
        path: as there.
        options: of :meth:`Engine.from_profile` and of a component around it.

    Raises:
        EndogenousError: as :meth:`Engine.from_profile`.
    """
    from s3_retriever.engine import Engine

    own = {name: value for name, value in options.items() if name not in _OF_ENGINE}
    of_engine = {name: value for name, value in options.items() if name in _OF_ENGINE}
    return Engine.from_profile(profile, path, **of_engine), own


def made(make: Any, profile: Any, path: Any, options: Mapping[str, Any]) -> Any:
    """A component around a loaded engine, or around a server's if the options hold a ``url``.

    Args:
        make: the component's class.
        profile: of an engine to load.
        path: of its index.
        options: of the class or of its ``from_profile``.

    Raises:
        EndogenousError: as :meth:`Engine.from_profile`; a url and a path are given.
    """
    if options.get("url") is None:
        return make.from_profile(profile, path, **options)
    if path is not None:
        raise InputError("give either a path or a url: a server knows where its index is")
    return make(**options)


def engine_from_config(config: Mapping[str, Any]) -> Engine | Client:
    """The engine or client that its ``to_config`` describes.

    Raises:
        EndogenousError: as :meth:`Engine.from_config`.
    """
    if isinstance(config, Mapping) and "url" in config:
        return Client.from_config(config)
    from s3_retriever.engine import Engine

    return Engine.from_config(config)


def restored(make: Callable[..., T], config: Mapping[str, Any], engine: Any) -> T:
    """Make a component of what its ``to_config`` gave: ``engine`` and its own settings.

    Args:
        make: the component's class.
        config: by way of JSON or not.
        engine: use this one instead of loading what the configuration names.

    Raises:
        EndogenousError: as :meth:`Engine.from_config`.
    """
    own = {name: value for name, value in config.items() if name != "engine"}
    if engine is None:
        engine = engine_from_config(config["engine"])
    return make(engine=engine, **own)


def chat_from_config(
    make: Callable[..., T], config: Mapping[str, Any], llm: LanguageModel | RemoteChat | None
) -> T:
    """Make a chat model of what its ``to_config`` gave: ``model`` and its own settings.

    Args:
        make: the chat model's class.
        config: by way of JSON or not; ``url`` in place of ``model`` is a server's.
        llm: use this one instead of loading what the configuration names.

    Raises:
        ModelError: the weights cannot be found or read.
    """
    own = {name: value for name, value in config.items() if name not in ("model", "url")}
    if llm is None and "url" in config:
        return make(url=config["url"], **own)
    if llm is None:
        from s3_retriever.models.shared import shared_model

        llm = shared_model(config["model"])
    return make(llm=llm, **own)


def renamed_argument(data: Any, old: str, new: str) -> Any:
    """Arguments with the name that one of them has today, with a warning about the older one.

    Example:
        >>> renamed_argument({"llm": 1}, "generator", "llm")
        {'llm': 1}
    """
    if not isinstance(data, Mapping) or old not in data:
        return data
    warnings.warn(f"{old}= is {new}= now", DeprecationWarning, stacklevel=2)
    return {new if name == old else name: value for name, value in data.items()}
