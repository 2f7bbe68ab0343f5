"""How messages come and go: standard input and output, or streamable HTTP."""

from __future__ import annotations

import hmac
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import uvicorn
from mcp.server.auth.provider import AccessToken

from s3_retriever.errors import InputError
from s3_retriever.mcp_server.lazy_engine import LazyEngine
from s3_retriever.mcp_server.server import make_server
from s3_retriever.quoting import brief

__all__ = ["PATH", "Tokens", "read_tokens", "serve_http", "serve_stdio"]

PATH = "/mcp"
"""Of the address that clients are given."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts for which the protocol package looks at the headers ``Host`` and ``Origin``, so that no
web page reaches the server by a name of its own."""
_SHORTEST_TOKEN = 16
_LAST_SECONDS = 10
"""For answers under way when the server is told to end; clients keep a stream open for ever."""


class Tokens:
    """Bearer tokens that are good.

    Example:
        >>> tokens = Tokens(["0123456789abcdef"])
        >>> anyio.run(tokens.verify_token, "0123456789abcdef").client_id
        'token-1'
        >>> anyio.run(tokens.verify_token, "0123456789abcdeX") is None
        True
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        """Take the tokens themselves."""
        self._tokens = [token.encode() for token in tokens]

    async def verify_token(self, token: str) -> AccessToken | None:
        """Whose token it is, in the protocol package's words; ``None``: nobody's."""
        given = token.encode("utf-8", "surrogatepass")
        for number, known in enumerate(self._tokens, start=1):
            if hmac.compare_digest(given, known):
                return AccessToken(token=token, client_id=f"token-{number}", scopes=[])
        return None


def read_tokens(path: Path) -> list[str]:
    """The tokens of a file, one a line.

    Raises:
        InputError: it cannot be read, is empty, or a token is too short or has spaces. The
            message does not quote it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"the tokens cannot be read from {brief(path)}: {type(e).__name__}") from e
    tokens = [line.strip() for line in lines if line.strip()]
    for number, token in enumerate(tokens, start=1):
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or len(token.split()) > 1:
            raise InputError(
                f"token {number} of {brief(path)} must have at least {_SHORTEST_TOKEN} ASCII "
                "characters and no spaces"
            )
    if not tokens:
        raise InputError(f"{brief(path)} holds no token; write one a line")
    return tokens


def serve_stdio(lazy: LazyEngine, *, allow_add: bool = False) -> None:
    """Serve the process that started this one, until it closes standard input.

    While it serves, whatever else writes to standard output goes to standard error.

    Args:
        lazy: the index.
        allow_add: whether clients may add and replace documents.
    """
    # Python would wait for the thread that reads standard input, which Ctrl-C does not wake
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    anyio.run(make_server(lazy, allow_add=allow_add).run_stdio_async)


def serve_http(
    lazy: LazyEngine,
    *,
    host: str,
    port: int,
    tokens: Sequence[str] = (),
    allow_add: bool = False,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve over streamable HTTP until interrupted.

    Args:
        lazy: the index.
        host: address to listen at.
        port: 0 takes a free one.
        tokens: one of which every request has to bring; none: nobody is asked.
        allow_add: whether clients may add and replace documents.
        on_ready: called with the address when clients can connect.

    Raises:
        InputError: the address cannot be listened at, or is not this machine's own and there
            are no tokens.
    """
    if host not in _LOOPBACK and not tokens:
        raise InputError(
            f"at {brief(host)} others could reach the index: give tokens (--token-file), or "
            f"listen at {_LOOPBACK[0]}"
        )
    verifier = Tokens(tokens) if tokens else None
    server = make_server(lazy, allow_add=allow_add, verifier=verifier)
    app = server.streamable_http_app(streamable_http_path=PATH, host=host)
    config = uvicorn.Config(
        app,
        log_config=None,  # its own writes to standard output
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    with _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        on_ready(f"http://{shown}:{listener.getsockname()[1]}{PATH}")
        uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as e:
        raise InputError(f"cannot listen at {brief(host)}, port {port}: {e.strerror or e}") from e
