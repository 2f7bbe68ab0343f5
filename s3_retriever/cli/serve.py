"""``s3-retriever serve``: one process holds the model, everyone else asks it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from s3_retriever.cli.opening import bound_torch_caches, open_engine, place_of
from s3_retriever.cli.options import DeviceOption, IndexOption, ModelOption, ProfileOption
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief

__all__ = ["serve"]


def serve(
    folder: IndexOption,
    host: Annotated[
        str, typer.Option(help="Address; any but a loopback one needs --token-file.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8321,
    token_file: Annotated[
        Optional[Path], typer.Option(help="Who may ask, as JSON; docs/serve.md says how.")
    ] = None,
    cors: Annotated[
        Optional[list[str]], typer.Option(help="Origin whose pages may ask; may be repeated.")
    ] = None,
    processes: Annotated[
        Optional[int],
        typer.Option(min=0, help="Processes that search. Default: one for each two processors."),
    ] = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Answer questions over HTTP; the index is made if there is none."""
    try:
        from s3_retriever.server.logs import log_to
        from s3_retriever.server.serving import guard_loopback, is_loopback, make_server
        from s3_retriever.server.settings import ServerSettings
        from s3_retriever.server.tokens import Tokens
    except ModuleNotFoundError as e:
        raise InputError(f'{e.name} is missing: pip install "s3-retriever[server]"') from e
    tokens = Tokens.read(token_file) if token_file else None
    if tokens is None and not is_loopback(host):
        raise InputError(f"{brief(host)} can be reached by others: give --token-file, too")
    n = max(1, (os.cpu_count() or 1) // 2) if processes is None else processes
    bound_torch_caches()
    settings = ServerSettings(cors=tuple(cors or ()), search_processes=n)
    engine = open_engine(place_of(folder), profile, model, device, create=True)
    from s3_retriever.server.app import create_app

    app = create_app(engine, settings, tokens)
    if tokens is None:
        guard_loopback(app)
    log_to()
    make_server(app, settings, host, port).run()
