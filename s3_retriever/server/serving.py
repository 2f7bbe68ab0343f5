"""Running the application under uvicorn, until somebody ends it."""

from __future__ import annotations

import ipaddress
import socket

import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, why
from s3_retriever.server.announcing import announce, withdraw
from s3_retriever.server.resident import Resident
from s3_retriever.server.settings import ServerSettings

__all__ = ["LOOPBACK", "guard_loopback", "is_loopback", "make_server"]

LOOPBACK = "127.0.0.1"
_CONNECTIONS = 512
"""Requests and idle connections together; more are answered 503."""


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    Example:
        >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def guard_loopback(app: FastAPI) -> None:
    """Answer only who asks this machine by name: no page of a browser that renamed its own host.

    Args:
        app: on a loopback address, without tokens.
    """
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", LOOPBACK, "[::1]"])


def make_server(app: FastAPI, settings: ServerSettings, host: str, port: int) -> uvicorn.Server:
    """A server that ends on SIGINT and SIGTERM: running answers end first.

    Args:
        app: of :func:`~s3_retriever.server.app.create_app`.
        settings: bounds.
        host: address.
        port: 0 takes a free one.

    Raises:
        InputError: nothing can listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(found[0][4])
    except (OSError, OverflowError) as e:
        raise InputError(f"cannot listen on {brief(host)}, port {port}: {why(e)}") from e
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return _Server(config, app.state.resident)


class _Server(uvicorn.Server):
    """Says in the index's folder where it is, as long as it listens."""

    def __init__(self, config: uvicorn.Config, resident: Resident) -> None:
        super().__init__(config)
        self._resident = resident

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        folder = self._resident.folder
        if self.started and folder is not None:
            host, port, *_ = self.servers[0].sockets[0].getsockname()
            announce(folder, host, port, self._resident.instance)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._resident.folder is not None:
            withdraw(self._resident.folder)
        await super().shutdown(sockets)
