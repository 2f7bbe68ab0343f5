"""A client finds what the engine finds that the server holds."""

from __future__ import annotations

import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest

from s3_retriever.client import Client
from s3_retriever.errors import InputError
from s3_retriever.types import Document
from tests.engine.conftest import DOCUMENTS

QUESTION = "When was the mill built?"
ASKED = [
    {},
    {"k": 2, "max_tokens": None, "mode": "fast"},
    {"mode": "bm25", "max_tokens": 40},
    {"filter": {"year": {"$in": {1780, 1990}}}, "token_scores": True, "mode": "fast"},
]


@pytest.mark.parametrize("asked", ASKED)
def test_spans_are_the_engines(server, client, asked):
    expected = server.engine.retrieve(QUESTION, **asked)
    found = client.retrieve(QUESTION, **asked)
    assert found == list(expected)
    assert found == asyncio.run(client.aretrieve(QUESTION, **asked))
    assert found.question == QUESTION
    assert found.highest_score == server.engine.highest_score(asked.get("mode"))
    assert "<" in found._repr_html_()


def test_results_can_be_copied_and_pickled(client):
    found = client.retrieve(QUESTION, k=1)
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert again == found
        assert again.highest_score == found.highest_score


def test_compressed_text_is_the_engines(server, client):
    text = "\n\n".join(document.text for document in DOCUMENTS) * 3
    expected = server.engine.compress(QUESTION, text, 48, mode="fast")
    assert client.compress(QUESTION, text, 48, mode="fast") == expected
    assert asyncio.run(client.acompress(QUESTION, text, 48, mode="fast")) == expected


def test_spans_of_other_stores_documents_are_the_engines(server, client):
    kept = {"seen": {1, 2}}  # what no index could keep
    documents = [
        *(Document("twin", document.text, kept) for document in DOCUMENTS),
        Document(
            "de", "Die Mühle wurde 1780 gebaut.", {"lang": "de-AT", "title": "Mühlen", "n": 1}
        ),
        Document("blank", " "),
        Document("half", "half \ud83d a pair"),
        "A plain text about a mill.",
    ]
    for asked in ({}, {"max_tokens": 20, "k": 2, "mode": "fast", "token_scores": True}):
        expected = server.engine.select(QUESTION, documents, **asked)
        found = client.select(QUESTION, documents, **asked)
        assert found == list(expected)
        assert found == asyncio.run(client.aselect(QUESTION, documents, **asked))
        assert found.highest_score == server.engine.highest_score(asked.get("mode"))
    whole = client.select("What is known of the comet?", documents, max_tokens=None)
    assert all(span.metadata is kept for span in whole if span.doc_id == "twin")
    assert client.select(QUESTION, [Document("blank", " ")]) == []
    with pytest.raises(InputError, match="NUL"):
        client.select(QUESTION, [Document("a", "\x00")])
    with pytest.raises(InputError, match="at most 1000"):
        client.select(QUESTION, ["A mill."] * 1001)


def test_tokens_are_counted_in_parts(server, client):
    texts = [f"The mill number {n} 🏴‍☠️" for n in range(2500)]
    counts = [server.engine.llm.count_tokens(text) for text in texts]
    assert client.count_tokens(texts) == counts
    assert asyncio.run(client.acount_tokens(texts)) == counts
    long = "mill " * 110_000  # two of these are more than a request may hold
    assert client.count_tokens([long, long]) == [server.engine.llm.count_tokens(long)] * 2
    ids = server.engine.llm.tokenize(texts[7]).ids.tolist()
    assert client.token_ids(texts[7]) == asyncio.run(client.atoken_ids([texts[7]])) == [ids]
    assert client.count_tokens([]) == []
    with pytest.raises(InputError, match="more than 1048576 characters"):
        client.count_tokens("a" * 1048577)
    with pytest.raises(InputError, match="texts must be"):
        client.count_tokens([b"a"])


def test_explanations_and_similarities_are_the_engines(server, client):
    spans = server.engine.retrieve(QUESTION, mode="fast")
    explained = client.explain(QUESTION, spans[0])
    expected = server.engine.explain(QUESTION, spans[0])
    assert explained.heads == dict(expected.heads)
    assert [t.model_dump() for t in explained.tokens] == [asdict(t) for t in expected.tokens]
    refs = [span.ref for span in spans]
    np.testing.assert_allclose(client.similarities(refs), server.engine.similarities(refs))
    assert client.similarities([]).shape == (0, 0)


def test_the_highest_score_is_had_without_a_search(server):
    with Client(server.url) as fresh:
        assert fresh.highest_score("bm25") == server.engine.highest_score("bm25")


def test_an_answer_comes_in_pieces_with_its_spans_first(server, client):
    expected = server.engine.answer(QUESTION, max_new_tokens=12, mode="fast").result()
    answer = client.answer(QUESTION, max_new_tokens=12, mode="fast")
    assert answer.spans == expected.spans
    pieces = list(answer)
    assert len(pieces) > 1
    assert "".join(pieces).strip() == expected.text
    assert answer.result() == expected

    async def awaited():
        answer = await client.aanswer(QUESTION, max_new_tokens=12, mode="fast")
        spans = answer.spans
        return spans, [piece async for piece in answer], await answer.result()

    assert asyncio.run(awaited()) == (expected.spans, pieces, expected)


def test_an_answer_that_nobody_waits_for_is_left_off(server, client):
    for piece in client.answer(QUESTION, max_new_tokens=500, mode="fast"):
        assert piece
        break
    client.answer(QUESTION, max_new_tokens=500, mode="fast").close()
    assert client.retrieve(QUESTION, k=1, mode="fast")  # the server is well


def test_what_the_server_cannot_use_is_an_input_error(client):
    for wrong in (
        {"mode": "best"},
        {"filter": {"year": {"$near": 1}}},
        {"k": 0},
        {"max_tokens": "many"},
        {"filter": {"year": object()}},
    ):
        with pytest.raises(InputError):
            client.retrieve(QUESTION, **wrong)
    with pytest.raises(InputError):
        client.retrieve("")
    with pytest.raises(InputError):
        client.answer("")
    with pytest.raises(InputError):
        asyncio.run(client.aanswer(QUESTION, mode="best"))


def test_the_model_of_the_server_chats(server, client):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    reply = client.llm.reply(messages, max_tokens=16)
    text = "".join(reply)
    assert text == "The capital of France is Paris."
    assert reply.finish_reason == "stop"
    assert reply.n_prompt == len(server.engine.llm.chat_ids(messages))
    assert reply.n_written > 4

    async def awaited():
        short = client.llm.reply(messages, max_tokens=3)
        return "".join([piece async for piece in short]), short.finish_reason

    assert asyncio.run(awaited()) == ("The capital of", "length")
    cut = client.llm.reply(messages, max_tokens=16, stops=[" France"])
    assert "".join(cut) == "The capital of"
    assert client.llm.ask_window() == server.engine.llm.window
    with pytest.raises(InputError):
        list(client.llm.reply([{"role": "robot?", "content": "Hi"}], max_tokens=3))


def test_threads_share_a_client(server, client):
    expected = list(server.engine.retrieve(QUESTION, mode="fast"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: client.retrieve(QUESTION, mode="fast"), range(16)))
    assert all([s.ref for s in spans] == [s.ref for s in expected] for spans in found)


def test_twenty_awaited_questions_need_one_loop_and_no_thread(client):
    class Refusing(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            raise AssertionError("a thread was asked for")

    async def ask():
        asyncio.get_running_loop().set_default_executor(Refusing(1))
        asked = [client.aretrieve(f"{QUESTION} {n}", mode="fast") for n in range(20)]
        return await asyncio.gather(*asked)

    for _ in range(2):  # each loop has connections of its own
        found = asyncio.run(ask())
        assert len(found) == 20
        assert all(found)
