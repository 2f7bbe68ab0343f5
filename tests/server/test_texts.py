"""Texts that a client brings along: spans of them, and their tokens."""

from __future__ import annotations

import json

import httpx
import pytest

from s3_retriever import Document
from s3_retriever.server.schemas.texts import MOST_CHARACTERS, MOST_TEXTS
from tests.engine.conftest import DOCUMENTS
from tests.server.conftest import Running

QUESTION = "When was the lighthouse finished?"
TEXTS = [document.text for document in DOCUMENTS]


def test_spans_are_those_of_the_engine(server: Running, client: httpx.Client) -> None:
    before = len(server.engine)
    asked = {"max_tokens": 60, "mode": "fast", "token_scores": True}
    body = {"question": QUESTION, "documents": [{"text": text} for text in [*TEXTS, " ", "\x00"]]}
    found = client.post("/v1/select", json=body | asked).json()
    numbered = [Document(str(n), text) for n, text in enumerate(TEXTS)]
    expected = server.engine.select(QUESTION, numbered, **asked)
    assert found["spans"] == [span.to_dict() for span in expected]
    assert found["spans"][0]["doc_id"] == "0"
    assert found["spans"][0]["tokens"]
    assert found["highest_score"] == server.engine.highest_score("fast")
    assert len(server.engine) == before


def test_titles_and_languages_are_read(server: Running, client: httpx.Client) -> None:
    text = "Sie wurde 1780 gebaut. Der Müller wohnte nebenan. Sie steht noch."
    document = {"text": text, "language": "de", "title": "Die Mühle"}
    body = {"question": "Wann wurde die Mühle gebaut?", "documents": [document], "mode": "fast"}
    found = client.post("/v1/select", json=body).json()["spans"]
    metadata = {"language": "de", "title": "Die Mühle"}
    expected = server.engine.select(body["question"], [Document("0", text, metadata)], mode="fast")
    assert found == [span.to_dict() | {"tokens": []} for span in expected]


@pytest.mark.parametrize(
    "body",
    [
        {"documents": []},
        {"documents": [{"text": "A."}] * (MOST_TEXTS + 1)},
        {"documents": [{"text": "A.", "id": "a"}]},
        {"documents": [{"text": "\x00"}]},
        {"documents": [{"text": "A."}], "max_tokens": 0},
        {"documents": [{"text": "A."}], "mode": "best"},
        {"documents": [{"text": "A."}], "question": " "},
    ],
)
def test_what_cannot_be_selected_from_is_refused(client: httpx.Client, body: dict) -> None:
    response = client.post("/v1/select", json={"question": QUESTION} | body)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]


def test_tokens_are_the_models(server: Running, client: httpx.Client) -> None:
    texts = [*TEXTS, "", "<|im_end|> 👩🏽‍🚀"]
    counts = [server.engine.llm.count_tokens(text) for text in texts]
    assert client.post("/v1/tokenize", json={"texts": texts}).json() == {"counts": counts}
    ids = [server.engine.llm.tokenize(text).ids.tolist() for text in texts]
    found = client.post("/v1/tokenize", json={"texts": texts, "ids": True}).json()
    assert found == {"counts": counts, "ids": ids}
    assert client.post("/v1/tokenize", json={"texts": []}).json() == {"counts": []}


@pytest.mark.parametrize(
    "texts",
    [["a"] * (MOST_TEXTS + 1), ["a", "a" * MOST_CHARACTERS], "a", [1], None],
    ids=["many", "long", "string", "number", "none"],
)
def test_what_cannot_be_counted_is_refused(client: httpx.Client, texts: object) -> None:
    response = client.post("/v1/tokenize", json={"texts": texts})
    assert response.status_code == 422
    assert len(response.json()["error"]["message"]) < 1000


def test_half_a_character_is_no_fault_of_the_servers(client: httpx.Client) -> None:
    for body, path in (
        ({"texts": ["half \ud83d a pair"]}, "tokenize"),
        ({"question": QUESTION, "documents": [{"text": "half \ud83d a pair"}]}, "select"),
    ):
        sent = {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        assert client.post(f"/v1/{path}", **sent).status_code in (400, 422)
