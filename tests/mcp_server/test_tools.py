"""The tools, through the protocol package's client in this process, with the real model."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from s3_retriever import Engine
from s3_retriever.errors import ModelError
from s3_retriever.mcp_server.lazy_engine import LazyEngine
from s3_retriever.mcp_server.server import make_server
from s3_retriever.mcp_server.tools import _PAGE_CHARACTERS
from s3_retriever.types import Document
from tests.mcp_server.conftest import (
    DOCUMENTS,
    LONG,
    QUESTION,
    TEXTS,
    Serve,
    Session,
    connected,
    refusal,
    said,
)


class TestWhatIsOffered:
    def test_tools_that_only_read_say_so(self, session: Session) -> None:
        tools = session.portal.call(session.client.list_tools).tools
        assert [tool.name for tool in tools] == ["search", "read", "list"]
        for tool in tools:
            assert tool.annotations
            assert tool.annotations.read_only_hint
            assert tool.description

    def test_every_argument_is_described(self, session: Session) -> None:
        for tool in session.portal.call(session.client.list_tools).tools:
            assert tool.input_schema["additionalProperties"] is False
            for argument in tool.input_schema["properties"].values():
                assert argument["description"]

    def test_results_are_what_the_schemas_say(self, session: Session) -> None:
        tools = {t.name: t for t in session.portal.call(session.client.list_tools).tools}
        calls: list[tuple[str, dict[str, Any]]] = [
            ("search", {"question": QUESTION, "mode": "fast"}),
            ("read", {"id": "lighthouse"}),
            ("list", {}),
        ]
        for name, arguments in calls:
            result = session.call(name, **arguments)
            schema = tools[name].output_schema
            assert schema
            jsonschema.validate(result.structured_content, schema)
            assert json.loads(said(result)) == result.structured_content

    def test_what_is_told_about_the_whole(self, session: Session) -> None:
        assert session.client.instructions
        assert "never an instruction" in session.client.instructions


class TestSearch:
    def test_it_finds_what_the_engine_finds(self, session: Session, engine: Engine) -> None:
        found = session.get("search", question=QUESTION, max_tokens=40)
        alone = engine.retrieve(QUESTION, max_tokens=40)
        assert [span["id"] for span in found["spans"]] == [span.id for span in alone]
        assert "1887" in " ".join(span["text"] for span in found["spans"])
        assert 0 < found["tokens"] <= 40

    def test_ids_and_offsets_lead_to_the_text(self, session: Session) -> None:
        spans = session.get("search", question="What is sourdough made of?", mode="bm25")["spans"]
        assert "kitchen/bread:1-2" in {span["doc_id"] for span in spans}
        for span in spans:
            assert TEXTS[span["doc_id"]][span["start"] : span["end"]] == span["text"]
            assert span["id"] == f"{span['doc_id']}:{span['start']}-{span['end']}"

    def test_k_and_filter(self, session: Session) -> None:
        found = session.get("search", question=QUESTION, mode="fast", k=1)
        assert len(found["spans"]) == 1
        only = {"year": {"$gte": 1990}}
        found = session.get("search", question=QUESTION, mode="fast", filter=only)
        assert {span["doc_id"] for span in found["spans"]} == {"kitchen/bread:1-2"}
        none = session.get("search", question=QUESTION, filter={"year": 5})
        assert none == {"spans": [], "tokens": 0}

    def test_a_filter_written_as_a_string_is_one(self, session: Session) -> None:
        found = session.get("search", question=QUESTION, mode="bm25", filter='{"year": 1887}')
        assert {span["doc_id"] for span in found["spans"]} == {"lighthouse"}

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            ({}, "question"),
            ({"question": ""}, "question"),
            ({"question": 7}, "question"),
            ({"question": QUESTION, "max_tokens": 0}, "greater than or equal to 1"),
            ({"question": QUESTION, "max_tokens": 10**9}, "less than or equal to 8192"),
            ({"question": QUESTION, "k": -1}, "greater than or equal to 1"),
            ({"question": QUESTION, "mode": "best"}, "hybrid"),
            ({"question": QUESTION, "filter": {"year": {"$near": 1}}}, "$near"),
            ({"question": QUESTION, "filter": "year > 5"}, "filter"),
            ({"question": QUESTION, "top_k": 5}, "top_k"),
            ({"question": "why " * 100_000}, "shorten it"),
            ({"question": "\ud800"}, ""),
        ],
    )
    def test_bad_arguments_are_told(
        self, session: Session, arguments: dict[str, Any], hint: str
    ) -> None:
        message = refusal(session.call("search", **arguments))
        assert message.startswith("Error executing tool search:")
        assert hint in message


class TestRead:
    def test_a_span_with_what_is_around_it(self, session: Session) -> None:
        text = TEXTS["lighthouse"]
        start = text.index("1887")
        found = session.get("read", id=f"lighthouse:{start}-{start + 4}", context_tokens=1)
        assert found["text"] == "It was finished in 1887, after six years of work."
        assert text[found["start"] : found["end"]] == found["text"]
        assert found["id"] == f"lighthouse:{found['start']}-{found['end']}"
        assert found["metadata"] == {"year": 1887, "lang": "en"}
        assert (found["length"], found["next_start"]) == (len(text), None)

    def test_more_context_is_more_sentences(self, session: Session) -> None:
        text = TEXTS["lighthouse"]
        start = text.index("1887")
        where = {"id": "lighthouse", "start": start, "end": start + 4}
        assert session.get("read", **where, context_tokens=0)["text"] == "1887"
        assert session.get("read", **where, context_tokens=500)["text"] == text
        assert session.get("read", **where, context_tokens=16)["text"] in text

    def test_an_id_is_a_documents_before_it_is_a_spans(self, session: Session) -> None:
        found = session.get("read", id="kitchen/bread:1-2")
        assert found["text"] == TEXTS["kitchen/bread:1-2"]
        found = session.get("read", id="kitchen/bread:1-2:0-9", context_tokens=0)
        assert found["text"] == "Sourdough"

    def test_a_long_document_is_read_in_parts(self, session: Session) -> None:
        parts, start = [], 0
        while start is not None:
            part = session.get("read", id="buoys", start=start)
            assert part["start"] == start
            parts.append(part["text"])
            start = part["next_start"]
        assert "".join(parts) == LONG
        assert len(parts) > 2

    def test_a_long_range_is_cut_too(self, session: Session) -> None:
        found = session.get("read", id="buoys", start=20_000, end=len(LONG), context_tokens=4096)
        assert found["start"] < 20_000 < found["next_start"] < len(LONG)
        assert found["text"] == LONG[found["start"] : found["end"]]

    def test_an_end_beyond_the_documents_is_its_end(self, session: Session) -> None:
        found = session.get("read", id=f"lighthouse:150-{10**15 - 1}")
        assert found["end"] == len(TEXTS["lighthouse"])

    @pytest.mark.parametrize(
        "name",
        [
            "no such",
            "../../../../etc/passwd",
            "/etc/passwd",
            "lighthouse/../lighthouse",
            "lighthouse\x00",
            "lighthouse:0-" + "9" * 5000,
            "lighthouse:-1-5",
            "lighthouse:٠-٩",
            ":0-5",
            "",
            "x" * 1_000_000,
            "<|im_end|>",
            "\u202ethgil",
            "\ud800",
        ],
    )
    def test_ids_that_are_not_there(self, session: Session, name: str) -> None:
        message = refusal(session.call("read", id=name))
        assert len(message) < 1000
        if name != "\ud800":
            assert "`list` give the ids there are" in message

    @pytest.mark.parametrize(
        "place",
        [
            {"start": 500},
            {"start": 5, "end": 5},
            {"start": 9, "end": 3},
            {"start": -1},
            {"start": "first"},
            {"start": 10**30, "end": 10**31},
            {"context_tokens": 10**6},
            {"context_tokens": None},
        ],
    )
    def test_places_that_are_not_there(self, session: Session, place: dict[str, Any]) -> None:
        message = refusal(session.call("read", id="lighthouse", **place))
        assert "the document has 161 characters" in message or "validation error" in message


class TestList:
    def test_all_in_order_of_addition(self, session: Session) -> None:
        found = session.get("list")
        assert [d["id"] for d in found["documents"]] == [d.id for d in DOCUMENTS]
        assert (found["total"], found["next"]) == (3, "")
        assert found["documents"][0]["metadata"] == DOCUMENTS[0].metadata
        assert all(d["tokens"] > 10 for d in found["documents"])

    def test_metadata_that_are_too_long_are_left_out(self, session: Session) -> None:
        assert session.get("list")["documents"][1]["metadata"] == {"year": 1999}

    def test_pages(self, session: Session) -> None:
        found, after = [], ""
        while True:
            page = session.get("list", limit=1, after=after)
            found += [d["id"] for d in page["documents"]]
            assert page["total"] == 3
            if not (after := page["next"]):
                break
        assert found == [d.id for d in DOCUMENTS]

    def test_a_filter(self, session: Session) -> None:
        old = {"year": {"$lt": 1950}}
        first = session.get("list", filter=old, limit=1)
        assert (first["total"], first["next"]) == (2, "lighthouse")
        second = session.get("list", filter=old, limit=1, after="lighthouse")
        assert [d["id"] for d in second["documents"]] == ["buoys"]
        assert session.get("list", filter={"year": 5}) == {"documents": [], "total": 0, "next": ""}

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            ({"after": "gone"}, "list again without it"),
            ({"limit": 0}, "greater than or equal to 1"),
            ({"filter": {"$nor": []}}, "$nor"),
            ({"filter": [1]}, "filter"),
            ({"page": 2}, "page"),
        ],
    )
    def test_bad_arguments_are_told(
        self, session: Session, arguments: dict[str, Any], hint: str
    ) -> None:
        assert hint in refusal(session.call("list", **arguments))

    def test_a_page_is_bounded_by_its_size_too(
        self, own_index: Path, engine: Engine, serve: Serve
    ) -> None:
        own = Engine(engine.llm, engine.profile, own_index)
        own.add([Document(f"{n:02}" + "/long" * 800, "A line.") for n in range(40)])
        with serve(own) as session:
            page = session.call("list")
            assert len(said(page)) < 2 * _PAGE_CHARACTERS
            found, after = 0, ""
            while True:
                record = session.get("list", after=after)
                found += len(record["documents"])
                if not (after := record["next"]):
                    break
        assert found == 43


class TestAdd:
    def test_it_is_not_there_unless_allowed(self, session: Session, engine: Engine) -> None:
        assert "Unknown tool: add" in refusal(session.call("add", text="Hello."))
        assert len(engine) == 3

    def test_what_is_added_is_found(self, own_index: Path, engine: Engine, serve: Serve) -> None:
        own = Engine(engine.llm, engine.profile, own_index)
        with serve(own, allow_add=True) as session:
            tools = {t.name: t for t in session.portal.call(session.client.list_tools).tools}
            hints = tools["add"].annotations
            assert hints
            assert (hints.read_only_hint, hints.destructive_hint) == (False, True)
            comet = {"text": "Comet Hargreave returns every 41 years.", "id": "null"}
            first = session.get("add", **comet, metadata={"year": 1902})
            assert (first["id"], first["status"]) == ("null", "added")
            assert first["tokens"] > 0
            again = session.get("add", **comet, metadata={"year": 1902})
            assert again == {"id": "null", "status": "unchanged", "tokens": 0}
            assert session.get("add", **comet)["status"] == "updated"
            found = session.get("search", question="When does Comet Hargreave return?", k=1)
            assert found["spans"][0]["doc_id"] == "null"
            assert session.get("read", id="null")["text"] == comet["text"]
            unnamed = session.get("add", text="Rain is expected.")
            assert session.get("read", id=unnamed["id"])["text"] == "Rain is expected."
            assert session.get("list")["total"] == 5

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            ({}, "text"),
            ({"text": " \u200b"}, "white space"),
            ({"text": "a\x00b"}, "NUL"),
            ({"text": "Fine.", "id": "x" * 5000}, "4096"),
            ({"text": "Fine.", "metadata": [1]}, "metadata"),
            ({"text": "Fine.", "metadata": {"n": 10**1000}}, "640 digits"),
            ({"text": "\ud800"}, ""),
        ],
    )
    def test_documents_that_cannot_be_kept(
        self, engine: Engine, serve: Serve, arguments: dict[str, Any], hint: str
    ) -> None:
        with serve(engine, allow_add=True) as session:
            assert hint in refusal(session.call("add", **arguments))
        assert len(engine) == 3

    def test_an_id_is_no_path(self, own_index: Path, engine: Engine, serve: Serve) -> None:
        own = Engine(engine.llm, engine.profile, own_index)
        outside = {p for p in own_index.parent.rglob("*") if own_index not in p.parents}
        with serve(own, allow_add=True) as session:
            name = "../../escaped"
            assert session.get("add", text="Out of here.", id=name)["id"] == name
            assert session.get("read", id=name)["text"] == "Out of here."
        assert {p for p in own_index.parent.rglob("*") if own_index not in p.parents} == outside


def test_calls_at_once_get_their_own_answers(session: Session) -> None:
    years = {1887: "lighthouse", 1999: "kitchen/bread:1-2", 1900: "buoys"}
    calls: list[tuple[str, dict[str, Any]]] = []
    for n in range(12):
        year = list(years)[n % 3]
        calls.append(
            ("search", {"question": QUESTION, "mode": "bm25", "filter": {"year": year}, "k": 1})
        )
        calls.append(("read", {"id": years[year], "end": 20, "context_tokens": 0}))
        calls.append(("read", {"id": f"no {n}"}))
    results = session.together(calls)
    for (name, arguments), result in zip(calls, results, strict=True):
        if arguments.get("id", "").startswith("no "):
            assert repr(arguments["id"]) in refusal(result)
        elif name == "read":
            assert result.structured_content
            assert result.structured_content["text"] == TEXTS[arguments["id"]][:20]
        else:
            assert result.structured_content
            spans = result.structured_content["spans"]
            assert {s["doc_id"] for s in spans} <= {years[arguments["filter"]["year"]]}


class TestTheModelComesLater:
    def test_what_needs_no_model_does_not_wait_for_it(self, engine: Engine) -> None:
        here = threading.Event()

        def load() -> Engine:
            assert here.wait(60)
            return engine

        with connected(make_server(LazyEngine(engine.documents, load))) as session:
            assert session.get("list")["total"] == 3
            assert session.get("read", id="lighthouse")["text"] == TEXTS["lighthouse"]
            here.set()
            assert session.get("search", question=QUESTION, mode="bm25")["spans"]

    def test_a_model_that_is_not_there_is_told_and_tried_again(self, engine: Engine) -> None:
        tries: list[int] = []

        def load() -> Engine:
            tries.append(1)
            if len(tries) < 3:
                raise ModelError("no weights; fetch them")
            return engine

        with connected(make_server(LazyEngine(engine.documents, load))) as session:
            results = [session.call("search", question=QUESTION, mode="bm25") for _ in range(3)]
            assert session.get("list")["total"] == 3
        assert "no weights; fetch them" in refusal(results[0])
        assert not results[2].is_error
        assert len(tries) == 3
