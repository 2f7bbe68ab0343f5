"""Ranking as Cohere's own client and those of Jina and TEI ask for it."""

from __future__ import annotations

import cohere
import httpx
import pytest

from tests.server.conftest import Running

QUERY = "How often does the comet return?"
TEXTS = [
    "Sourdough needs no bought yeast.",
    "Comet Hargreave returns every 41 years.",
    "The lighthouse was finished in 1887.",
    " ",
]


@pytest.mark.parametrize("kind", [cohere.Client, cohere.ClientV2])
def test_cohere_s_client(server: Running, kind: type) -> None:
    client = kind(api_key="none", base_url=server.url)
    found = client.rerank(model="any", query=QUERY, documents=TEXTS, top_n=2)
    assert found.results[0].index == 1
    scores = [result.relevance_score for result in found.results]
    assert len(scores) == 2
    assert 1 >= scores[0] > scores[1] >= 0


def test_jina_s_form(client: httpx.Client) -> None:
    documents = [{"text": text} for text in TEXTS]
    asked = {"model": "any", "query": QUERY, "documents": documents, "return_documents": True}
    found = client.post("/v1/rerank", json=asked).json()
    assert found["results"][0]["document"] == {"text": TEXTS[1]}
    assert sorted(result["index"] for result in found["results"]) == [0, 1, 2, 3]
    assert found["results"][-1]["relevance_score"] == 0
    assert found["usage"]["total_tokens"] > 20


def test_tei_s_form(client: httpx.Client) -> None:
    asked = {"query": QUERY, "texts": TEXTS, "return_text": True, "truncate": True}
    found = client.post("/rerank", json=asked).json()
    assert (found[0]["index"], found[0]["text"]) == (1, TEXTS[1])
    raw = client.post("/rerank", json=asked | {"raw_scores": True}).json()
    assert raw[0]["score"] > found[0]["score"]
    assert [item["index"] for item in raw] == [item["index"] for item in found]


def test_a_long_text_is_cut_where_it_is_asked_for(client: httpx.Client) -> None:
    documents = ["Bread is food. " * 20 + TEXTS[1], TEXTS[2]]
    asked = {"query": QUERY, "documents": documents}
    whole = client.post("/v2/rerank", json=asked).json()
    cut = client.post("/v2/rerank", json=asked | {"max_tokens_per_doc": 20}).json()
    assert cut["usage"]["total_tokens"] < whole["usage"]["total_tokens"]
    assert whole["results"][0]["index"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"query": QUERY, "documents": []},
        {"query": "", "documents": TEXTS},
        {"query": " ", "documents": TEXTS},
        {"query": QUERY, "documents": [1]},
        {"query": QUERY, "documents": ["x"] * 1001},
        {"query": QUERY, "documents": TEXTS, "top_n": 0},
    ],
)
def test_what_cannot_be_ranked_is_refused(client: httpx.Client, body: dict) -> None:
    response = client.post("/v1/rerank", json=body)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]


def test_texts_that_are_none_come_last(client: httpx.Client) -> None:
    asked = {"query": QUERY, "documents": ["\x00", " "]}
    found = client.post("/v1/rerank", json=asked).json()
    assert [result["relevance_score"] for result in found["results"]] == [0, 0]
