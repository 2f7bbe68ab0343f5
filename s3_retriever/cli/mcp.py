"""``s3-retriever mcp``: an index as tools for agents."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from s3_retriever.cli.display import errors, visible
from s3_retriever.cli.opening import (
    bound_torch_caches,
    open_documents,
    open_engine,
    place_of,
)
from s3_retriever.cli.options import (
    DeviceOption,
    IndexOption,
    ModelOption,
    NamespaceOption,
    ProfileOption,
)
from s3_retriever.errors import InputError

__all__ = ["mcp"]


def mcp(
    folder: IndexOption,
    transport: Annotated[
        Literal["stdio", "http"],
        typer.Option(help="stdio: for the program that starts this one. http: streamable HTTP."),
    ] = "stdio",
    host: Annotated[
        str, typer.Option(help="Where http listens; others than this machine need --token-file.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8765,
    token_file: Annotated[
        Optional[Path],
        typer.Option(help="Tokens, one a line; each request over http must bring one of them."),
    ] = None,
    allow_add: Annotated[
        bool, typer.Option("--allow-add", help="Clients may add and replace documents.")
    ] = False,
    namespace: NamespaceOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Serve an index to agents (Model Context Protocol): search, read, list, add."""
    try:
        from s3_retriever.mcp_server.serving import read_tokens, serve_http, serve_stdio
    except ImportError as e:
        raise InputError(f'this needs the package {e.name}: pip install "s3-retriever[mcp]"') from e
    from s3_retriever.mcp_server.lazy_engine import LazyEngine

    tokens = read_tokens(token_file) if token_file else []
    bound_torch_caches()  # tools run in many threads
    place = place_of(folder, namespace)
    documents = open_documents(place, profile, create=allow_add)
    lazy = LazyEngine(
        documents, partial(open_engine, place, profile, model, device, create=allow_add)
    )
    if transport == "stdio":
        serve_stdio(lazy, allow_add=allow_add)
        return
    serve_http(
        lazy,
        host=host,
        port=port,
        tokens=tokens,
        allow_add=allow_add,
        on_ready=lambda url: errors.print(visible(f"listening at {url}"), soft_wrap=True),
    )
