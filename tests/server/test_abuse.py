"""Clients that mean no good, or are merely slow: no 500, nothing stuck, nothing kept."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from s3_retriever import Document, Engine
from s3_retriever.server.bodies import nesting
from s3_retriever.server.failures import log_bug
from s3_retriever.server.logs import JsonLines
from s3_retriever.server.serving import guard_loopback
from s3_retriever.server.settings import ServerSettings
from tests.server.conftest import Running, eventually, serving

SETTINGS = ServerSettings(most_body_bytes=1 << 20, body_seconds=1.0, most_nesting=32)


@pytest.fixture(scope="module")
def strict(
    small: Callable[[Path | None], Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server with narrow bounds."""
    engine = small(tmp_path_factory.mktemp("strict") / "index")
    engine.add([Document("mill", "The mill was built in 1780.")])
    with serving(engine, SETTINGS) as running:
        yield running


def _socket(server: Running) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def _post(server: Running, content: bytes | Iterator[bytes], kind: str = "application/json"):
    with server.client() as client:
        return client.post("/v1/search", content=content, headers={"Content-Type": kind})


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(strict: Running) -> None:
    large = b'{"question": "' + b"x" * SETTINGS.most_body_bytes + b'"}'
    with _socket(strict) as raw:  # it says so beforehand: nothing is read
        raw.sendall(b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert b" 413 " in raw.recv(1000)
    parts = (large[at : at + 65536] for at in range(0, len(large), 65536))
    with suppress(httpx.WriteError, httpx.ReadError):  # it may have hung up before all was sent
        assert _post(strict, parts).status_code == 413
    assert _post(strict, b'{"question": "mill?"}').status_code == 200


def test_ten_megabytes_are_taken_where_they_may_be(
    small: Callable[[Path | None], Engine],
) -> None:
    with serving(small(None)) as running, running.client() as client:
        text = "a" * (10 << 20)
        for body in (
            {"question": text},
            {"question": "x", "filter": {"a": text}},
            {"question": "x", "filter": {"a": [1] * (3 << 20)}},
            {"question": "x", "mode": text},
        ):
            response = client.post("/v1/search", json=body)
            assert response.status_code in (200, 400, 422)
            assert len(response.content) < 2000 or response.status_code == 200
        assert client.post("/v1/search", json={"question": "x"}).status_code == 200


def test_nesting_is_bounded_and_strings_do_not_count(strict: Running) -> None:
    deep = b'{"question": "x", "filter": ' + b'{"$not": ' * 50 + b"{}" + b"}" * 51
    response = _post(strict, deep)
    assert response.status_code == 400
    assert "32 times" in response.json()["error"]["message"]
    assert _post(strict, b"[" * 900_000).status_code == 400
    brackets = json.dumps({"question": '"[[' * 100 + "\\"}).encode()
    assert nesting(brackets) == 1
    assert _post(strict, brackets).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"null", "application/json"),
        (b'{"question": "x", "k": 1' + b"0" * 5000 + b"}", "application/json"),
        (b'{"question": "x", "k": NaN}', "application/json"),
        (b'{"question": "x", "filter": {"a": 1e999}}', "application/json"),
        (b'{"question": "\\ud800"}', "application/json"),
        (b'{"question": "x"}', "text/plain"),
        (b'{"question": "x"}', "application/json; charset=nonsense"),
        (b"question=x", "application/x-www-form-urlencoded"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data"),
    ],
)
def test_bodies_that_are_none(strict: Running, content: bytes, kind: str) -> None:
    assert _post(strict, content, kind).status_code in (200, 400, 415, 422)
    with strict.client() as client:
        response = client.post("/v1/files", content=content, headers={"Content-Type": kind})
        assert response.status_code in (400, 415, 422)


def test_a_slow_body_is_given_up_and_holds_nobody(strict: Running) -> None:
    with _socket(strict) as slow:
        slow.sendall(b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert _post(strict, b'{"question": "mill?"}').status_code == 200
        assert b" 408 " in slow.recv(1000)


def test_clients_that_hang_up_leave_nothing_behind(strict: Running) -> None:
    question = b'{"question": "When was the mill built?"}'
    head = b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for sent in (
        b"POST /v1",
        head,
        head + b"Content-Length: 1000\r\n\r\n{",
        head + b"Content-Length: %d\r\n\r\n%s" % (len(question), question),
    ):
        for _ in range(8):
            with _socket(strict) as raw:
                raw.sendall(sent)
    assert eventually(lambda: strict.resident.questions.n_open == 0)
    assert _post(strict, question).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/documents/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/documents/..%5c..%5cmanifest.json",
        "/v1/documents/%00",
        "/v1/documents/%ff%fe",
        "/v1/documents/" + "a" * 5000,
        "/v1/jobs/..%2fmanifest",
        "/v1/jobs/%00",
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/documents?namespace=..%2f..",
        "/v1/documents?limit=1e9",
        "/v1/documents?after=%ff",
        "/v1/info?namespace=%00",
        "/docs/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_paths_lead_nowhere(strict: Running, path: str) -> None:
    with _socket(strict) as raw:  # as it is: a client would tidy it up
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = int(raw.recv(100).split()[1])
    assert status in (400, 404, 409, 422)


def test_a_page_of_another_host_gets_no_answer(small: Callable[[Path | None], Engine]) -> None:
    with serving(small(None), guard=guard_loopback) as running, running.client() as client:
        assert client.get("/v1/info").status_code == 200
        assert client.get("/v1/info", headers={"Host": "evil.example"}).status_code == 400


def test_a_page_of_another_origin_does_nothing_without_being_asked_first(
    small: Callable[[Path | None], Engine],
) -> None:
    settings = ServerSettings(cors=("https://example.org",))
    with serving(small(None), settings) as running, running.client() as client:
        for origin, may in [
            ("https://evil.example", False),
            ("null", False),
            (running.url.replace("127.0.0.1", "localhost"), False),
            (running.url, True),
            ("https://example.org", True),
        ]:  # a form and a text without a type are sent without asking
            form = client.post(
                "/v1/files", files=[("files", ("a.txt", b"A text."))], headers={"Origin": origin}
            )
            untyped = client.post(
                "/v1/search", content=b'{"question": "x"}', headers={"Origin": origin}
            )
            assert (form.status_code == 202) is may, origin
            assert (untyped.status_code == 403) is not may, origin


def test_pages_of_named_origins_may_ask(small: Callable[[Path | None], Engine]) -> None:
    settings = ServerSettings(cors=("https://example.org",))
    with serving(small(None), settings) as running, running.client() as client:
        for origin, allowed in (("https://example.org", True), ("https://evil.example", False)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            response = client.options("/v1/search", headers=headers)
            assert (response.headers.get("access-control-allow-origin") == origin) is allowed


def test_logs_are_lines_of_json_without_texts_and_with_the_request_s_id(
    strict: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("s3_retriever")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with strict.client() as client:
            secret = {"question": "SECRET question?", "filter": {"SECRET": "SECRET"}}
            client.post("/v1/search", json=secret, headers={"X-Request-ID": "my-own.id"})
            client.post("/v1/search", json={"question": "SECRET", "mode": "SECRET"})
            client.post("/v1/search", json={"SECRET": "SECRET"})
            client.get("/v1/documents/SECRET", params={"namespace": "secret"})
            client.get("/SECRET")
            odd = client.get("/v1/info", headers={"X-Request-ID": "SECRET with spaces"})
        try:
            raise KeyError("SECRET")
        except KeyError as e:
            log_bug(e)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert "secret" not in stream.getvalue().lower()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    first = next(line for line in lines if line.get("request_id") == "my-own.id")
    assert (first["route"], first["status"], first["caller"]) == ("/v1/search", 200, "anybody")
    assert lines[-1]["error"] == "KeyError"
    assert "test_abuse.py" in lines[-1]["at"][0]
    assert odd.headers["X-Request-ID"] != "SECRET with spaces"


def test_the_page_of_endpoints_loads_nothing_from_elsewhere(strict: Running) -> None:
    with strict.client() as client:
        page = client.get("/docs").text
    assert "/v1/search" in page and "max_tokens" in page
    assert "http://" not in page and "https://" not in page and "<script" not in page
