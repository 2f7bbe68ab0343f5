"""A small index of the real model, and the protocol package's own client, without async tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.types import CallToolResult, TextContent

from s3_retriever import Document, Engine
from s3_retriever.mcp_server.lazy_engine import LazyEngine
from s3_retriever.mcp_server.server import make_server
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.profiles.profile import Profile

QUESTION = "When was the lighthouse finished?"
LONG = "\n\n".join(f"Buoy {n} is red.\n\n{'-' * 1500}" for n in range(24))
"""Many characters, of few tokens."""
DOCUMENTS = [
    Document(
        "lighthouse",
        "The lighthouse stands on Skerry Point. It was finished in 1887, after six years of work. "
        "Its lamp burned whale oil until 1911. Then it was converted to paraffin.",
        {"year": 1887, "lang": "en"},
    ),
    Document(
        "kitchen/bread:1-2",  # an id that looks like a span's
        "Sourdough needs no bought yeast 😀. Flour and water are left to ferment for a week.",
        {"year": 1999, "notes": "x" * 5000},
    ),
    Document("buoys", LONG, {"year": 1900}),
]
TEXTS = {document.id: document.text for document in DOCUMENTS}


@dataclass(frozen=True)
class Session:
    """A connected client whose calls wait."""

    portal: BlockingPortal
    client: Client

    def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """What a tool gives back, errors of tools included."""
        return self.portal.call(self.client.call_tool, tool, arguments)

    def get(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of a call that must succeed."""
        return content(self.call(tool, **arguments))

    def together(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[CallToolResult]:
        """Results of calls that are all under way at once, in their order."""

        async def all_of_them() -> list[CallToolResult]:
            found: dict[int, CallToolResult] = {}

            async def one(n: int) -> None:
                found[n] = await self.client.call_tool(*calls[n])

            async with anyio.create_task_group() as group:
                for n in range(len(calls)):
                    group.start_soon(one, n)
            return [found[n] for n in range(len(calls))]

        return self.portal.call(all_of_them)


def content(result: CallToolResult) -> dict[str, Any]:
    """The structured content of a result that is no error."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def said(result: CallToolResult) -> str:
    """The text of a result."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def refusal(result: CallToolResult) -> str:
    """What a result that must be an error says."""
    assert result.is_error
    return said(result)


@contextmanager
def connected(server: Any) -> Iterator[Session]:
    """A client of whatever the package's client connects to."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(server)) as client,
    ):
        yield Session(portal, client)


@pytest.fixture(scope="session")
def engine(llm: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Tests must not change it; see ``own_index``."""
    folder = tmp_path_factory.mktemp("mcp") / "index"
    engine = Engine(llm, Profile.load(DEFAULT_PROFILE), folder)
    engine.add(DOCUMENTS)
    return engine


@pytest.fixture
def own_index(engine: Engine, tmp_path: Path) -> Path:
    """A copy of the index, to be changed."""
    assert engine.index.folder
    return Path(shutil.copytree(engine.index.folder, tmp_path / "own"))


Serve = Callable[..., AbstractContextManager[Session]]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Serve an engine in this process."""

    def serve(engine: Engine, **options: Any) -> AbstractContextManager[Session]:
        lazy = LazyEngine(engine.documents, lambda: engine)
        return connected(make_server(lazy, **options))

    return serve


@pytest.fixture(scope="module")
def session(engine: Engine, serve: Serve) -> Iterator[Session]:
    """A client of the shared index."""
    with serve(engine) as session:
        yield session
