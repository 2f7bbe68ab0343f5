"""Questions over HTTP have the engine's own answers, alone and many together."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from s3_retriever.server.schemas.search import SpanBody
from tests.server.conftest import Running, eventually

QUESTIONS = [
    "When was the lighthouse finished?",
    "Who was the last keeper?",
    "What did the lamp burn?",
    "How long is dough left to ferment?",
    "What does salt do to gluten?",
    "How often does the comet return?",
    "Who saw the comet first?",
    "Why does its tail point away from the sun?",
]


@pytest.mark.parametrize("mode", ["fast", "hybrid", "features", "bm25"])
def test_a_question_has_the_engine_s_spans(
    server: Running, client: httpx.Client, mode: str
) -> None:
    arguments = {"max_tokens": 40, "k": 2, "mode": mode, "filter": {"year": {"$lt": 2000}}}
    response = client.post("/v1/search", json={"question": QUESTIONS[0], **arguments})
    expected = server.engine.retrieve(QUESTIONS[0], **arguments)
    assert response.status_code == 200
    assert [SpanBody.model_validate(s).span() for s in response.json()["spans"]] == list(expected)
    assert expected and response.json()["highest_score"] == server.engine.highest_score(mode)


def test_token_scores_come_when_they_are_asked_for(client: httpx.Client) -> None:
    asked = {"question": QUESTIONS[0], "k": 1, "token_scores": True}
    span = client.post("/v1/search", json=asked).json()["spans"][0]
    assert span["tokens"][0]["start"] == span["start"]
    assert span["tokens"][-1]["end"] == span["end"]
    assert all(token.keys() == {"start", "end", "score"} for token in span["tokens"])


def test_questions_that_wait_together_share_passes_and_have_their_own_answers(
    server: Running, client: httpx.Client
) -> None:
    def spans(question: str) -> list[tuple[str, str]]:
        asked = {"question": question, "mode": "fast", "max_tokens": 60}
        found = client.post("/v1/search", json=asked).json()["spans"]
        return [(span["id"], span["text"]) for span in found]

    before = _passes(client)
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        with server.engine.llm.lock:  # while the model is busy all of them come to wait
            waiting = [pool.submit(spans, question) for question in QUESTIONS]
            assert eventually(lambda: server.resident.questions.n_open == len(QUESTIONS))
        found = [one.result() for one in waiting]
    questions, passes = (now - then for now, then in zip(_passes(client), before, strict=True))
    for question, together in zip(QUESTIONS, found, strict=True):
        alone = server.engine.retrieve(question, mode="fast", max_tokens=60)
        assert set(together) == {(span.id, span.text) for span in alone}
        assert together[0][0] == alone[0].id
    assert questions == len(QUESTIONS)
    assert passes <= 2  # the first may have been taken before the others came


def _passes(client: httpx.Client) -> tuple[int, int]:
    lines = dict(
        line.rsplit(" ", 1)
        for line in client.get("/metrics").text.splitlines()
        if not line.startswith("#")
    )
    return (
        int(float(lines["s3_retriever_questions_total"])),
        int(float(lines["s3_retriever_questions_per_pass_count"])),
    )


def test_a_long_text_is_compressed_as_by_the_engine(server: Running, client: httpx.Client) -> None:
    text = "\n\n".join(server.engine.get(i).text for i in server.engine.ids())
    asked = {"question": QUESTIONS[5], "text": text, "max_tokens": 30}
    found = client.post("/v1/compress", json=asked).json()
    expected = server.engine.compress(QUESTIONS[5], text, 30)
    assert (found["text"], found["n_tokens"]) == (expected.text, expected.n_tokens)
    assert "41 years" in found["text"]


def test_a_span_is_explained(server: Running, client: httpx.Client) -> None:
    span = client.post("/v1/search", json={"question": QUESTIONS[0], "k": 1}).json()["spans"][0]
    place = {name: span[name] for name in ("doc_id", "start", "end")}
    found = client.post("/v1/explain", json={"question": QUESTIONS[0], **place}).json()
    expected = server.engine.explain(QUESTIONS[0], SpanBody.model_validate(span).span())
    assert found["heads"] == pytest.approx(dict(expected.heads))
    assert found["span"]["text"] == span["text"]
    assert [f["latent"] for f in found["features"]] == [f.latent for f in expected.features]


def test_places_are_compared(client: httpx.Client) -> None:
    places = [
        {"doc_id": "comet", "start": 0, "end": 36},
        {"doc_id": "comet", "start": 0, "end": 36},
        {"doc_id": "bread", "start": 0, "end": 32},
    ]
    found = client.post("/v1/similarities", json={"places": places}).json()["similarities"]
    assert found[0][1] == pytest.approx(1, abs=1e-5)
    assert found[0][2] < found[0][1]
    beyond = [{"doc_id": "comet", "start": 5, "end": 10**6}]
    assert client.post("/v1/similarities", json={"places": beyond}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("search", {"question": ""}, 422),
        ("search", {"question": " "}, 400),
        ("search", {"question": "x", "k": 0}, 422),
        ("search", {"question": "x", "k": "1"}, 422),
        ("search", {"question": "x", "max_tokens": 2**63}, 422),
        ("search", {"question": "x", "mode": "no-such-mode"}, 400),
        ("search", {"question": "x", "filter": {"$no": 1}}, 400),
        ("search", {"question": "x", "unknown": 1}, 422),
        ("search", {"question": "\ud800"}, 422),
        ("search", {"question": "x" * 10**6}, 400),
        ("search", ["question"], 422),
        ("compress", {"question": "x", "text": "\x00", "max_tokens": 5}, 400),
        ("explain", {"question": "x", "doc_id": "none", "start": 0, "end": 1}, 404),
        ("explain", {"question": "x", "doc_id": "comet", "start": 3, "end": 3}, 422),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_form(
    client: httpx.Client, path: str, body: object, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post(f"/v1/{path}", content=json.dumps(body), headers=headers)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["message"]
    assert error["request_id"] == response.headers["X-Request-ID"]


def test_a_namespace_that_is_not_there_is_empty_and_is_not_made(
    server: Running, client: httpx.Client
) -> None:
    asked = {"question": QUESTIONS[0], "namespace": "nobody"}
    assert client.post("/v1/search", json=asked).json()["spans"] == []
    assert client.get("/v1/documents", params={"namespace": "nobody"}).json()["total"] == 0
    assert server.engine.namespaces() == []
    assert client.get("/v1/info").json()["namespaces"] == []


def test_metrics_count_what_was_done(server: Running, client: httpx.Client) -> None:
    client.post("/v1/search", json={"question": QUESTIONS[1], "mode": "hybrid"})
    text = client.get("/metrics").text
    for name in (
        's3_retriever_requests_total{route="/v1/search",status="200"}',
        's3_retriever_stage_seconds_count{stage="project"}',
        's3_retriever_stage_seconds_count{stage="search"}',
        's3_retriever_passage_cache_total{result="miss"}',
    ):
        found = [line for line in text.splitlines() if line.startswith(name)]
        assert float(found[0].rsplit(" ", 1)[1]) > 0
    assert "s3_retriever_questions_open 0.0" in text
    assert "lighthouse" not in text
