"""Answers from the index, streamed and whole, and what becomes of them when nobody listens."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.server.conftest import Running, eventually

ASKED = {"question": "When was the lighthouse finished?", "max_tokens": 60, "max_new_tokens": 24}


def _events(response: httpx.Response) -> list[tuple[str, dict]]:
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_streamed_answer_is_the_engine_s(server: Running, client: httpx.Client) -> None:
    response = client.post("/v1/answer", json=ASKED)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = _events(response)
    names = [name for name, _ in events]
    assert names == ["spans", *["text"] * (len(events) - 2), "done"]
    expected = server.engine.answer(**ASKED).result()
    done = events[-1][1]
    assert done["text"] == expected.text
    assert "".join(data["text"] for _, data in events[1:-1]).strip() == expected.text
    assert [span["id"] for span in events[0][1]["spans"]] == [s.id for s in expected.spans]
    assert [c["span"]["id"] for c in done["citations"]] == [s.id for s in expected.citations]
    assert [done["spans"][c["number"] - 1] for c in done["citations"]] == [
        c["span"] for c in done["citations"]
    ]


def test_a_whole_answer_is_the_same(client: httpx.Client) -> None:
    whole = client.post("/v1/answer", json=ASKED | {"stream": False})
    assert whole.headers["content-type"] == "application/json"
    assert whole.json() == _events(client.post("/v1/answer", json=ASKED))[-1][1]


def test_what_does_not_fit_is_refused_before_the_stream_begins(client: httpx.Client) -> None:
    response = client.post("/v1/answer", json=ASKED | {"max_new_tokens": 8192})
    assert response.status_code == 400
    assert "window" in response.json()["error"]["message"]


def test_a_client_that_hangs_up_ends_its_answer(server: Running, client: httpx.Client) -> None:
    asked = ASKED | {"max_new_tokens": 4000, "question": "Count from one to a thousand."}

    def left_in_the_middle() -> bool:
        with client.stream("POST", "/v1/answer", json=asked) as response:
            next(response.iter_bytes())
            return server.resident.works.n_open == 1

    assert any(left_in_the_middle() for _ in range(5))  # on a busy machine bytes may come late
    assert eventually(lambda: server.resident.works.n_open == 0)


def test_a_client_that_waits_for_no_whole_answer_ends_it(
    server: Running, client: httpx.Client
) -> None:
    model = client.get("/v1/models").json()["data"][0]["id"]
    story = [{"role": "user", "content": "Write a very long story about a lighthouse."}]
    asked = {"model": model, "messages": story, "max_tokens": 4000}

    def written() -> str:
        lines = client.get("/metrics").text.splitlines()
        return next(line for line in lines if line.startswith("s3_retriever_tokens_written_total"))

    before = written()
    with pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=asked, timeout=1)
    assert eventually(lambda: server.resident.works.n_open == 0)
    assert written() == before  # what came to its end would have been counted


def test_more_answers_than_can_wait_are_refused(server: Running, client: httpx.Client) -> None:
    most = 2 * server.resident.settings.most_works
    text = {"question": "Which?", "text": "One text or another. " * 50, "max_tokens": 20}
    with ThreadPoolExecutor(most) as pool:
        with server.engine.llm.lock:  # nothing gets on
            waiting = [pool.submit(client.post, "/v1/compress", json=text) for _ in range(most)]
            assert eventually(lambda: server.resident.works.n_open == most)
            response = client.post("/v1/compress", json=text)
            assert response.status_code == 429
            assert int(response.headers["Retry-After"]) >= 1
            assert client.get("/healthz").status_code == 200
        assert {one.result().status_code for one in waiting} == {200}
    assert client.post("/v1/compress", json=text).status_code == 200
