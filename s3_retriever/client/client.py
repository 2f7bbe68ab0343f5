"""The client: an engine's methods, asked of a server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic import SecretStr

from s3_retriever.arguments import COUNT, FILTER, SOME_COUNT, SOME_NAME, TEXT, checked
from s3_retriever.client.answers import AsyncRemoteAnswer, RemoteAnswer
from s3_retriever.client.api import Api
from s3_retriever.client.chat import RemoteChat
from s3_retriever.client.transport import Ask, Steps, Transport
from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, Scoring

__all__ = ["Client"]

P = ParamSpec("P")
R = TypeVar("R")


def _waiting(
    method: Callable[Concatenate[Api, P], Steps[R]],
) -> Callable[Concatenate[Client, P], R]:
    """The method of a client that sends what one of :class:`Api` asks."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.transport.run(method(self.api, *args, **kwargs))

    return call


def _awaiting(
    method: Callable[Concatenate[Api, P], Steps[R]],
) -> Callable[Concatenate[Client, P], Coroutine[Any, Any, R]]:
    """The same, awaited: the event loop goes on, and no thread is taken."""

    @functools.wraps(method)
    async def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.transport.arun(method(self.api, *args, **kwargs))

    return call


class Client:
    """Asks a server (``s3-retriever serve``) what one would ask an :class:`~s3_retriever.Engine`.

    Each method has an awaited twin, whose name begins with an ``a``. A request that a busy server
    turns away is sent again when the server says so.

    Example:
        >>> client = Client("http://127.0.0.1:8321", token="0123456789abcdef")
        >>> client.to_config()["url"]
        'http://127.0.0.1:8321'
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | SecretStr | None = None,
        namespace: str | None = None,
        timeout: float = 60.0,
        retries: int = 3,
    ) -> None:
        """Take where the server is; nothing is sent before a method is called.

        Args:
            url: e.g. ``http://127.0.0.1:8321``.
            token: a bearer token; by default what the environment variable ``S3_RETRIEVER_TOKEN``
                holds, if it is set.
            namespace: ``None`` is the token's first one, or the server's index.
            timeout: seconds to wait for a connection, and for each part of a response.
            retries: how often a request is sent again to a server that is busy (429, 503) or
                cannot be reached.

        Raises:
            InputError: an argument cannot be used.
        """
        self.transport = Transport(url, token, timeout, retries)
        self.api = Api(namespace)

    def __repr__(self) -> str:
        named = "" if self.namespace is None else f", namespace={quoted(self.namespace)}"
        return f"Client({quoted(self.url)}{named})"

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.transport.url

    @property
    def namespace(self) -> str | None:
        """Which is asked."""
        return self.api.namespace

    retrieve = _waiting(Api.retrieve)
    add = _waiting(Api.add)
    delete = _waiting(Api.delete)
    delete_where = _waiting(Api.delete_where)
    update_metadata = _waiting(Api.update_metadata)
    get = _waiting(Api.get)
    get_many = _waiting(Api.get_many)
    ids = _waiting(Api.ids)
    metadata = _waiting(Api.metadata)
    compress = _waiting(Api.compress)
    select = _waiting(Api.select)
    count_tokens = _waiting(Api.count_tokens)
    token_ids = _waiting(Api.token_ids)
    explain = _waiting(Api.explain)
    similarities = _waiting(Api.similarities)
    highest_score = _waiting(Api.highest_score)
    info = _waiting(Api.info)
    __len__ = _waiting(Api.count)

    aretrieve = _awaiting(Api.retrieve)
    aadd = _awaiting(Api.add)
    adelete = _awaiting(Api.delete)
    adelete_where = _awaiting(Api.delete_where)
    aupdate_metadata = _awaiting(Api.update_metadata)
    aget = _awaiting(Api.get)
    aget_many = _awaiting(Api.get_many)
    aids = _awaiting(Api.ids)
    ametadata = _awaiting(Api.metadata)
    acompress = _awaiting(Api.compress)
    aselect = _awaiting(Api.select)
    acount_tokens = _awaiting(Api.count_tokens)
    atoken_ids = _awaiting(Api.token_ids)
    aexplain = _awaiting(Api.explain)
    asimilarities = _awaiting(Api.similarities)
    ahighest_score = _awaiting(Api.highest_score)
    ainfo = _awaiting(Api.info)

    def __bool__(self) -> bool:
        return True  # an empty index is no missing one, and asking takes a request

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return isinstance(doc_id, str) and self.get(doc_id) is not None

    def answer(self, question: str, **arguments: Any) -> RemoteAnswer:
        """Have the server's model answer from what is found.

        Args:
            question: plain text.
            **arguments: of :meth:`s3_retriever.Engine.answer`: ``max_tokens``,
                ``max_new_tokens``, ``k``, ``filter``, ``mode``, ``scoring``.

        Returns:
            The answer as it is written: iterate over it for pieces of text; ``.spans`` is there
            at once, ``.result()`` waits for the end and brings the citations.

        Raises:
            InputError: the question or an argument cannot be used.
            ServerError: the server cannot be reached, or refuses.
        """
        return RemoteAnswer(self.transport.events(self._answering(question, **arguments)))

    async def aanswer(self, question: str, **arguments: Any) -> AsyncRemoteAnswer:
        """As :meth:`answer`: ``async for piece in await client.aanswer(question)``."""
        ask = self._answering(question, **arguments)
        return await AsyncRemoteAnswer.begun(self.transport.aevents(ask))

    @checked(
        question=TEXT,
        max_tokens=COUNT,
        max_new_tokens=COUNT,
        k=SOME_COUNT,
        filter=FILTER,
        mode=SOME_NAME,
        scoring=SOME_NAME,
    )
    def _answering(
        self,
        question: str,
        *,
        max_tokens: int = 512,
        max_new_tokens: int = 128,
        k: int | None = None,
        filter: Filter | None = None,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
    ) -> Ask:
        asked = {
            "question": question,
            "max_tokens": max_tokens,
            "max_new_tokens": max_new_tokens,
            "k": k,
            "filter": filter,
            "mode": mode,
            "scoring": scoring,
            "stream": True,
        }
        named = {} if self.namespace is None else {"namespace": self.namespace}
        return Ask("POST", "/v1/answer", asked | named)

    @property
    def llm(self) -> RemoteChat:
        """The server's model in a conversation."""
        return RemoteChat(self.transport)

    def to_config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs to make this client again: JSON values, no token."""
        return {
            "url": self.url,
            "namespace": self.namespace,
            "timeout": self.transport.timeout,
            "retries": self.transport.retries,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, token: str | SecretStr | None = None
    ) -> Client:
        """Make the client that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            token: as of the constructor.

        Raises:
            InputError: it is no client's.
        """
        try:
            return cls(**config, token=token)
        except TypeError:
            raise InputError("this is no client's config") from None

    def close(self) -> None:
        """Close the connections; they are opened anew if need be."""
        self.transport.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, too."""
        await self.transport.aclose()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
