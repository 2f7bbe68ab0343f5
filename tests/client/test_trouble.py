"""Servers that are not there, refuse, are busy, or are something else."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading

import pytest
from pydantic import SecretStr

from s3_retriever.client import Client
from s3_retriever.errors import EndogenousError, InputError, ServerError
from tests.client.conftest import TOKENS


@pytest.fixture
def nowhere():
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_server_that_is_not_there_is_named(nowhere):
    client = Client(nowhere, retries=1)
    for ask in (client.info, lambda: client.answer("Why?"), lambda: list(chat(client))):
        with pytest.raises(ServerError, match=f"{nowhere} cannot be reached") as failed:
            ask()
        assert isinstance(failed.value, EndogenousError)
        assert failed.value.status is None
    with pytest.raises(ServerError, match="cannot be reached"):
        asyncio.run(client.ainfo())
    with pytest.raises(ServerError, match="cannot be reached"):
        asyncio.run(client.aanswer("Why?"))


def chat(client):
    return client.llm.reply([{"role": "user", "content": "Hi"}], max_tokens=2)


def test_a_server_that_says_nothing_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        with pytest.raises(ServerError, match="does not answer in time"):
            client.info()
        with pytest.raises(ServerError, match="does not answer in time"):
            asyncio.run(client.ainfo())


@pytest.mark.parametrize("token", [None, "wrong-0123456789abcdef"])
def test_a_wrong_token_is_refused_and_not_repeated(guarded, token, monkeypatch):
    monkeypatch.delenv("S3_RETRIEVER_TOKEN", raising=False)
    client = Client(guarded.url, token=token)
    with pytest.raises(ServerError, match="S3_RETRIEVER_TOKEN") as refused:
        client.info()
    assert refused.value.status == 401
    assert "wrong" not in str(refused.value)
    with pytest.raises(ServerError):
        asyncio.run(client.ainfo())


def test_a_token_comes_from_the_environment_or_hidden(guarded, monkeypatch):
    monkeypatch.setenv("S3_RETRIEVER_TOKEN", TOKENS["reader"])
    assert Client(guarded.url).info().writable is False
    hidden = Client(guarded.url, token=SecretStr(TOKENS["writer"]))
    assert hidden.info().writable is True
    shown = f"{hidden!r} {hidden.to_config()} {vars(hidden.transport)}"
    assert TOKENS["writer"] not in shown
    again = Client.from_config(hidden.to_config(), token=TOKENS["writer"])
    assert again.info().writable is True


def test_a_server_that_wants_to_be_left_alone_is_asked_again_when_it_says(guarded):
    patient = Client(guarded.url, token=TOKENS["slow"])
    assert all(patient.info().version for _ in range(61))  # the last waits for a second

    async def awaited():
        return [await patient.ainfo() for _ in range(2)]

    assert len(asyncio.run(awaited())) == 2
    hasty = Client(guarded.url, token=TOKENS["slow"], retries=0)
    with pytest.raises(ServerError, match=r"60 times a minute.*ask again later") as refused:
        for _ in range(61):
            hasty.info()
    assert refused.value.status == 429


def test_a_server_that_wants_to_be_left_alone_for_long_is(guarded):
    client = Client(guarded.url, token=TOKENS["rare"])
    client.info()
    with pytest.raises(ServerError) as refused:
        client.info()
    assert refused.value.status == 429


def test_another_server_is_told_from_ours():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path.startswith("/v1/info") else 502)
            self.end_headers()
            self.wfile.write(b"<p>Welcome</p>")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{other.server_port}")
        with pytest.raises(ServerError, match="sent no InfoResponse"):
            client.info()
        with pytest.raises(ServerError, match="answers 502, not as a server of this library"):
            client.retrieve("Why?")
        other.shutdown()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": 5},
        {"url": "127.0.0.1:8000"},
        {"url": "ftp://a"},
        {"url": "http://"},
        {"url": "http://me:secret@a:80"},
        {"url": "http://a\n"},
        {"url": "http://a", "token": "sec\nret"},
        {"url": "http://a", "token": 7},
        {"url": "http://a", "timeout": 0},
        {"url": "http://a", "timeout": None},
        {"url": "http://a", "retries": -1},
    ],
)
def test_arguments_that_cannot_be_used_are_named_without_secrets(wrong):
    with pytest.raises(InputError) as refused:
        Client(**wrong)
    assert "secret" not in str(refused.value)
    assert next(iter(reversed(wrong))) in str(refused.value)


def test_a_config_of_something_else_is_refused():
    with pytest.raises(InputError, match="no client's config"):
        Client.from_config({"url": "http://a", "path": "x"})
