"""Servers that really run: uvicorn on a free port of this machine, around real models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from s3_retriever import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.server.app import create_app
from s3_retriever.server.resident import Resident
from s3_retriever.server.serving import make_server
from s3_retriever.server.settings import ServerSettings
from s3_retriever.server.tokens import Tokens
from tests.engine.conftest import DOCUMENTS
from tests.tiny import tiny_llm, write_profile


class Running:
    """A server that runs, and its parts."""

    def __init__(self, url: str, resident: Resident) -> None:
        self.url = url
        self.resident = resident
        self.engine = resident.engine

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120)


@contextmanager
def serving(
    engine: Engine,
    settings: ServerSettings | None = None,
    tokens: Tokens | None = None,
    guard: Callable[[FastAPI], None] = lambda app: None,
) -> Iterator[Running]:
    """A server around ``engine`` until the block ends; then it must end by itself."""
    settings = settings or ServerSettings()
    app = create_app(engine, settings, tokens)
    guard(app)
    server = make_server(app, settings, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", app.state.resident)
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def finished(client: httpx.Client, response: httpx.Response) -> dict:
    """The job that a response describes, once it has ended."""
    assert response.status_code == 202, response.text
    job = response.json()
    while job["state"] in ("queued", "running"):
        job = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
    return job


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether something becomes true within half a minute."""
    until = time.monotonic() + 30
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The shipped one."""
    return Profile.load("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def server(
    llm: TransformersModel, profile: Profile, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Around the real SmolLM2 and three documents; tests leave these as they are."""
    engine = Engine(llm, profile, tmp_path_factory.mktemp("server") / "index")
    engine.add(DOCUMENTS)
    with serving(engine) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[httpx.Client]:
    """Of that server."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path | None], Engine]:
    """Makes engines around a small random model: all is real but what is found."""
    llm = tiny_llm(max_position_embeddings=1024)
    profile = Profile.load(write_profile(tmp_path_factory.mktemp("profile"), llm))
    return lambda path=None: Engine(llm, profile, path)


@pytest.fixture(scope="session")
def resident(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that choose a small random model."""
    root = tmp_path_factory.mktemp("model")
    llm = tiny_llm(max_position_embeddings=4096)
    llm.model.save_pretrained(root / "model")
    llm.tokenizer.save_pretrained(root / "model")
    profile = write_profile(root / "profile", llm)
    return ["--profile", str(profile), "--model", str(root / "model"), "--device", "cpu"]
