"""Tokens: who is let in, what they may do, how often; and that namespaces are walls."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.server.access import OPEN_PATHS
from s3_retriever.server.tokens import TokenRecord, Tokens, hashed
from tests.server.conftest import Running, finished, serving

SECRETS = {name: f"{name}-0123456789abcdef" for name in ("admin", "a", "b", "reader", "slow")}
TOKENS = [
    TokenRecord(name="admin", token=SECRETS["admin"]),
    TokenRecord(name="a", token=SECRETS["a"], namespaces=("space-a", "shared")),
    TokenRecord(name="b", sha256=hashed(SECRETS["b"]), namespaces=("space-b", "shared")),
    TokenRecord(name="reader", token=SECRETS["reader"], write=False),
    TokenRecord(name="slow", token=SECRETS["slow"], per_minute=2),
]


@pytest.fixture(scope="module")
def guarded(
    small: Callable[[Path | None], Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server with tokens."""
    engine = small(tmp_path_factory.mktemp("guarded") / "index")
    with serving(engine, tokens=Tokens(TOKENS)) as running:
        yield running


@pytest.fixture(scope="module")
def clients(guarded: Running) -> Iterator[dict[str, httpx.Client]]:
    """A client for each token."""
    found = {name: guarded.client(secret) for name, secret in SECRETS.items()}
    yield found
    for client in found.values():
        client.close()


def test_nothing_but_the_open_paths_is_answered_without_a_token(guarded: Running) -> None:
    with guarded.client() as nobody, guarded.client("wrong-0123456789abcdef") as wrong:
        paths = nobody.get("/openapi.json").json()["paths"]
        for path, methods in paths.items():
            for method in methods:
                url = path.replace("{doc_id}", "x").replace("{job_id}", "0" * 32)
                for client in (nobody, wrong):
                    response = client.request(method.upper(), url.replace("{model}", "m"))
                    assert response.status_code == (200 if path in OPEN_PATHS else 401), path
        for odd in ("//v1/info", "/v1/info/", "/V1/info", "/healthz/../v1/info", "/metrics"):
            assert nobody.get(odd).status_code == 401
        basic = nobody.get("/v1/info", headers={"Authorization": f"Basic {SECRETS['admin']}"})
        assert basic.status_code == 401
        assert basic.headers["WWW-Authenticate"] == "Bearer"


def test_a_reader_changes_nothing(clients: dict[str, httpx.Client]) -> None:
    reader = clients["reader"]
    assert reader.get("/v1/info").json()["writable"] is False
    refused = [
        reader.post("/v1/documents", json={"documents": ["text"]}),
        reader.put("/v1/documents/x", json={"text": "text"}),
        reader.patch("/v1/documents", json={"metadata": {}}),
        reader.post("/v1/documents/delete", json={"ids": ["x"]}),
        reader.delete("/v1/documents/x"),
        reader.post("/v1/files", files=[("files", ("a.txt", b"text"))]),
        reader.delete(f"/v1/jobs/{'0' * 32}"),
    ]
    assert {response.status_code for response in refused} == {403}


def test_a_token_asks_as_often_as_it_may(clients: dict[str, httpx.Client]) -> None:
    codes = [clients["slow"].get("/v1/info") for _ in range(3)]
    assert [response.status_code for response in codes] == [200, 200, 429]
    assert 1 <= int(codes[-1].headers["Retry-After"]) <= 30
    assert clients["reader"].get("/v1/info").status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[" * 100_000,
        "{}",
        '{"tokens": []}',
        json.dumps({"tokens": [{"name": "x", "token": "short"}]}),
        json.dumps({"tokens": [{"name": "x", "token": "secret secret secret"}]}),
        json.dumps({"tokens": [{"name": "x", "token": "s" * 20, "sha256": "0" * 64}]}),
        json.dumps({"tokens": [{"name": "x", "token": "s" * 20, "namespaces": []}]}),
        json.dumps({"tokens": [{"name": "x", "token": "s" * 20, "namespaces": ["../s"]}]}),
        json.dumps({"tokens": [{"name": n, "token": "s" * 20} for n in "xy"]}),
        json.dumps({"tokens": [{"name": "x", "token": n * 20} for n in "xy"]}),
    ],
)
def test_a_wrong_token_file_is_refused_without_its_secrets(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        Tokens.read(path)
    assert "sss" not in str(caught.value) and "secret s" not in str(caught.value)


def test_a_token_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": [record.model_dump(mode="json") for record in TOKENS]}))
    tokens = Tokens.read(path)
    assert tokens.caller(SECRETS["b"]).namespaces == ("space-b", "shared")
    assert tokens.caller(SECRETS["b"] + " ") is None
    assert tokens.caller("\ud800") is None


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(
            [
                *("put", "files", "delete", "delete where", "change", "get", "get many", "list"),
                *("search", "answer", "chat", "explain", "similarities", "info", "jobs"),
            ]
        ),
        st.sampled_from([None, "space-a", "space-b", "shared", "other"]),
        st.sampled_from(["x", "y", "../space-a/x"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_a_token_of_one_namespace_never_sees_or_changes_another(
    guarded: Running, clients: dict[str, httpx.Client], operations: list
) -> None:
    own = {"a": {"space-a", "shared"}, "b": {"space-b", "shared"}}
    names = ["space-a", "space-b", "shared"]
    for name in names:  # what each holds tells where it came from
        engine = guarded.resident.engine_of(name, create=True)
        if stale := engine.ids():
            engine.delete(stale)
        engine.add([Document("x", f"Text of {name}."), Document("mark", f"Mark of {name}.")])
    guarded_root = guarded.engine
    if not len(guarded_root):
        guarded_root.add([Document("x", "Text of nobody.")])
    jobs: dict[str, set[str]] = {"a": set(), "b": set()}
    for who, operation, namespace, doc_id in operations:
        others = {name: _state(guarded, name) for name in [*names, None] if name not in own[who]}
        response = _do(clients[who], operation, namespace, doc_id)
        if namespace is not None and namespace not in own[who] and operation != "jobs":
            assert response.status_code == 403
        for name in others:
            assert f"of {name or 'nobody'}." not in response.text
        if response.status_code == 202:
            job = finished(clients[who], response)
            jobs[who].add(job["id"])
            if job["namespace"] != "shared":
                other = clients["b" if who == "a" else "a"]
                assert other.get(f"/v1/jobs/{job['id']}").status_code == 404
                assert other.delete(f"/v1/jobs/{job['id']}").status_code == 404
                assert job["id"] not in other.get("/v1/jobs").text
        assert {name: _state(guarded, name) for name in others} == others


def _state(server: Running, namespace: str | None) -> list[tuple[str, str, str]]:
    engine = server.resident.engine_of(namespace)
    documents = [engine.get(doc_id) for doc_id in engine.ids()]
    return [(d.id, d.text, str(d.metadata)) for d in documents]


def _do(client: httpx.Client, operation: str, namespace: str | None, doc_id: str) -> httpx.Response:
    within = {} if namespace is None else {"namespace": namespace}
    quoted = doc_id.replace("/", "%2f")
    if operation == "put":
        return client.put(f"/v1/documents/{quoted}", json={"text": "A text put.", **within})
    if operation == "delete":
        return client.delete(f"/v1/documents/{quoted}", params=within)
    if operation == "delete where":
        body = {"filter": {"none": {"$exists": False}}, **within}
        return client.post("/v1/documents/delete", json=body)
    if operation == "change":
        return client.patch("/v1/documents", json={"metadata": {doc_id: {"m": 1}}, **within})
    if operation == "search":
        return client.post(
            "/v1/search", json={"question": "Whose text?", "max_tokens": None, **within}
        )
    if operation == "files":
        return client.post("/v1/files", files=[("files", ("x", b"A text sent."))], data=within)
    if operation == "get":
        return client.get(f"/v1/documents/{quoted}", params=within)
    if operation == "get many":
        return client.post("/v1/documents/get", json={"ids": [doc_id, "mark"], **within})
    if operation == "list":
        return client.get("/v1/documents", params=within)
    if operation == "info":
        return client.get("/v1/info", params=within)
    if operation == "answer":
        body = {"question": "Whose text?", "max_new_tokens": 2, "stream": False, **within}
        return client.post("/v1/answer", json=body)
    if operation == "chat":
        body = {
            "model": client.get("/v1/models").json()["data"][0]["id"],
            "messages": [{"role": "user", "content": "Whose text?"}],
            "max_tokens": 2,
            "retrieve": within,
        }
        return client.post("/v1/chat/completions", json=body)
    if operation == "similarities":
        places = [{"doc_id": name, "start": 0, "end": 4} for name in (doc_id, "mark")]
        return client.post("/v1/similarities", json={"places": places, **within})
    if operation == "explain":
        body = {"question": "Whose?", "doc_id": doc_id, "start": 0, "end": 4, **within}
        return client.post("/v1/explain", json=body)
    return client.get("/v1/jobs")
