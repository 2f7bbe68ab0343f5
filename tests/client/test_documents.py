"""Documents that are sent, and what is said of them."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from s3_retriever import Document
from s3_retriever.client import Client, api
from s3_retriever.errors import InputError, ServerError
from tests.client.conftest import TOKENS

FOX = Document("fox", "The fox is red. It sleeps by day.", {"year": 1990, "seen": date(1990, 5, 1)})
OWL = Document("owl/a b?#%", "The owl is grey, é😀. It sleeps by day, too.", {"year": 2001})
BLANK = Document("blank", " \n")


def test_what_becomes_of_documents_is_what_an_engine_says(writer, small):
    engine = small(None)
    for given in ([FOX, OWL, BLANK, "Plain text."], [FOX], [Document("fox", "It is blue.")]):
        assert writer.add(given) == engine.add(given)
        assert len(writer) == len(engine)
        assert writer.ids() == engine.ids()
    for doc_id in ("fox", OWL.id, "nobody"):
        assert writer.get(doc_id) == engine.get(doc_id)
        assert (doc_id in writer) == (doc_id in engine)
    assert writer.get_many([OWL.id, "no", "fox", "fox"]) == engine.get_many(
        [OWL.id, "no", "fox", "fox"]
    )
    assert writer.ids({"year": {"$gte": 1995}}) == engine.ids({"year": {"$gte": 1995}}) == [OWL.id]
    assert writer.ids(limit=1) == engine.ids(limit=1)
    assert writer.metadata() == list(engine.documents.metadata())
    assert writer.update_metadata({"fox": {"year": 7}}) == 1
    assert writer.get("fox").metadata == {"year": 7}
    assert writer.delete(["fox", "nobody"]) == 1
    assert writer.delete_where({"year": 2001}) == 1
    assert writer.delete([]) == 0
    assert len(writer) == 1
    assert writer


def test_the_same_awaited(writer):
    async def work():
        report = await writer.aadd([FOX, OWL])
        return report, await writer.aids(), await writer.aget("fox"), await writer.adelete("fox")

    report, ids, fox, n = asyncio.run(work())
    assert report.added == ("fox", OWL.id)
    assert ids == ["fox", OWL.id]
    assert fox.text == FOX.text
    assert n == 1


def test_many_documents_go_in_parts_and_come_in_pages(writer, monkeypatch):
    monkeypatch.setattr(api, "_PART_CHARACTERS", 60)
    monkeypatch.setattr(api, "_PAGE", 2)
    monkeypatch.setattr(api, "_PART_IDS", 2)
    documents = [Document(f"d{n}", f"Number {n} is here. " * 2, {"n": n}) for n in range(5)]
    read = []
    report = writer.add([*documents, BLANK], on_progress=lambda t, c: read.append((t, c)))
    assert report.added == tuple(d.id for d in documents)
    assert report.ids == (*report.added, None)
    assert list(report.skipped) == ["blank"]
    assert sum(tokens for tokens, _ in read) == report.tokens_scanned > 0
    assert sum(characters for _, characters in read) == sum(len(d.text) for d in documents)
    assert writer.ids() == [d.id for d in documents]
    assert writer.ids(limit=3) == ["d0", "d1", "d2"]
    assert writer.get_many(writer.ids()) == documents
    assert writer.delete(writer.ids()) == 5


def test_what_cannot_be_kept_is_refused_before_anything_is_sent(writer):
    with pytest.raises(InputError, match="its metadata field 'by'"):
        writer.add([FOX, Document("x", "Text.", {"by": object()})], on_error="raise")
    with pytest.raises(InputError):
        writer.add([])
    with pytest.raises(InputError):
        writer.add(None)
    with pytest.raises(InputError):
        writer.delete_where({})
    assert writer.add([BLANK]).added == ()
    assert len(writer) == 0


def test_a_list_that_changes_while_it_is_read_is_begun_again(writer, monkeypatch):
    monkeypatch.setattr(api, "_PAGE", 1)
    writer.add([FOX, OWL, "Another."])
    steps = writer.api.ids()
    ask = next(steps)
    ask = steps.send(writer.transport._send(ask))  # the first page: the fox
    writer.delete("fox")
    while True:
        try:
            answer = writer.transport._send(ask)
        except Exception as e:
            ask = steps.throw(e)
            continue
        try:
            ask = steps.send(answer)
        except StopIteration as end:
            assert end.value == writer.ids()
            return


def test_who_may_not_write_is_told(guarded):
    reader = Client(guarded.url, token=TOKENS["reader"])
    with pytest.raises(ServerError, match="may not change documents") as refused:
        reader.add([FOX])
    assert refused.value.status == 403
    assert refused.value.request_id
