"""Whatever a caller gives to a public method, what comes back is an error with a name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import EndogenousError, InputError
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("wrong")
    llm = tiny_llm()
    engine = Engine(llm, Profile.load(write_profile(folder / "p", llm)), folder / "index")
    engine.add([Document("a", TEXT, {"n": 1}), Document("b", "Another one. " * 40, {"n": 2})])
    return engine


NO_STRINGS: list[Any] = [None, 5, 2.5, b"a", ["a"], {"a": 1}, object(), Path("a"), np.arange(3)]
NO_COUNTS: list[Any] = ["9", b"9", 2.5, float("nan"), True, [1], {}, object(), 0, -1, 10**5000]
NO_IDS: list[Any] = [None, 5, b"ab", [1], [None], [["a"]], {1: 2}, object(), ["a", 5]]
NO_PATHS: list[Any] = [None, 5, b"x", ["x"], object(), "", "a\x00b"]


def deep(n: int, key: str | None = None) -> Any:
    found: Any = 1
    for _ in range(n):
        found = {key: found} if key else [found]
    return found


NO_FILTERS: list[Any] = [
    5,
    "n",
    ["n"],
    object(),
    {"n": {5: 1}},
    {5: 1},
    {None: 1},
    {"$and": 5},
    {"$and": [5]},
    {"$and": [{5: 1}]},
    {"$not": None},
    {"n": {"$in": 5}},
    {"n": {"$gte": 1, 7: 2}},
    {"n": {"$bogus": 1}},
    {"n": {"$match": 10**5000}},
    {"n": 10**5000},
    {"n": {"$in": [10**5000]}},
    {"n": deep(900)},
    {"n": deep(900, "x")},
    {"n": {"$in": deep(5000)}},
    deep(900, "$not"),
    deep(100_000, "$not"),
]


def calls() -> list[tuple[str, Callable[[Engine], object]]]:
    table: list[tuple[str, Callable[[Engine], object]]] = []

    def each(name: str, values: list[Any], call: Callable[[Engine, Any], object]) -> None:
        for n, value in enumerate(values):
            table.append((f"{name}-{n}", lambda e, value=value: call(e, value)))

    each("get", NO_STRINGS, lambda e, v: e.get(v))
    each("ids of a text", NO_STRINGS[:-2], lambda e, v: e.documents.ids_of_text(v))
    each("rename", [None, 5, "a", ["a"], {1: "a"}], lambda e, v: e.documents.rename(v))
    each("profile", [None, 5, "x", {}], lambda e, v: Engine(e.llm, v))
    each("scan settings", [5, "x", {}], lambda e, v: Engine(e.llm, e.profile, scan=v))
    each("settings", [5, "x", {}], lambda e, v: Engine(e.llm, e.profile, retrieve=v))
    each("from_profile", [None, 5, b"x", []], lambda e, v: Engine.from_profile(v))
    each("delete", NO_IDS, lambda e, v: e.delete(v))
    each("add", [None, 5, b"text", {"a": "text"}, object()], lambda e, v: e.add(v))
    each("add progress", [5, "x"], lambda e, v: e.add(["A text."], on_progress=v))
    each("add on_error", [None, "x", []], lambda e, v: e.add(["A text."], on_error=v))
    each("retrieve", NO_STRINGS, lambda e, v: e.retrieve(v))
    each("retrieve budget", NO_COUNTS, lambda e, v: e.retrieve("What?", max_tokens=v))
    each("retrieve k", NO_COUNTS, lambda e, v: e.retrieve("What?", k=v))
    each("retrieve mode", [5, ["fast"], {}, b"fast", "x"], lambda e, v: e.retrieve("W?", mode=v))
    each("retrieve scoring", [5, [], {}, "x"], lambda e, v: e.retrieve("What?", scoring=v))
    each("retrieve settings", [5, {"a": 1}, "x"], lambda e, v: e.retrieve("What?", settings=v))
    each("retrieve cache", [5, {}, "x"], lambda e, v: e.retrieve("What?", query_cache=v))
    each("retrieve filter", NO_FILTERS, lambda e, v: e.retrieve("What?", filter=v))
    each("ids", NO_FILTERS, lambda e, v: e.ids(v))
    each("delete_where", [None, {}, *NO_FILTERS], lambda e, v: e.delete_where(v))
    each("batch", [None, 5, {"a": 1}, b"x"], lambda e, v: e.retrieve_batch(v))
    each("batch item", [None, 5, ["x"]], lambda e, v: e.retrieve_batch(["What?", v]))
    each("cache", [None, 5, {"a": 1}], lambda e, v: e.cache_queries(v))
    each("answer", NO_STRINGS, lambda e, v: e.answer(v))
    each("answer budget", [None, *NO_COUNTS], lambda e, v: e.answer("W?", max_tokens=v))
    each("answer length", [None, *NO_COUNTS], lambda e, v: e.answer("W?", max_new_tokens=v))
    each("compress", NO_STRINGS, lambda e, v: e.compress(v, TEXT, 10))
    each("compress text", NO_STRINGS, lambda e, v: e.compress("What?", v, 10))
    each("compress budget", [None, *NO_COUNTS], lambda e, v: e.compress("What?", TEXT, v))
    each("select", [None, 5, b"x"], lambda e, v: e.select("What?", v))
    each("select question", NO_STRINGS, lambda e, v: e.select(v, ["A text."]))
    each("explain", NO_STRINGS, lambda e, v: e.explain(v, e.retrieve("What?")[0]))
    each("explain span", [None, 5, "a:0-4", {}], lambda e, v: e.explain("What?", v))
    each("why_not", NO_STRINGS, lambda e, v: e.why_not(v, "a"))
    each("why_not id", NO_STRINGS, lambda e, v: e.why_not("What?", v))
    each("read_document", NO_STRINGS, lambda e, v: e.read_document("What?", v))
    each("similarities", [None, 5, "a", [5], ["a"]], lambda e, v: e.similarities(v))
    each("highest_score", [5, ["fast"], "x"], lambda e, v: e.highest_score(v))
    each("namespace", [*NO_STRINGS, "", "../x"], lambda e, v: e.namespace(v))
    each("snapshot", NO_PATHS, lambda e, v: e.snapshot(v))
    each("export", NO_PATHS, lambda e, v: e.export_bundle(v))
    each("import", NO_PATHS, lambda e, v: e.import_bundle(v))
    each("update", [None, 5, "a", ["a"], {5: {}}, {"a": 5}], lambda e, v: e.update_metadata(v))
    each("config", [None, 5, "a", {}, {"profile": []}], lambda e, v: Engine.from_config(v))
    each("aretrieve", NO_STRINGS, lambda e, v: asyncio.run(e.aretrieve(v)))
    return table


@pytest.mark.parametrize(("call"), [pytest.param(c, id=name) for name, c in calls()])
def test_a_wrong_type_is_an_error_with_a_name(
    small: Engine, call: Callable[[Engine], object]
) -> None:
    with pytest.raises(EndogenousError):
        call(small)
    assert small.ids() == ["a", "b"]


@pytest.mark.parametrize("value", NO_STRINGS)
def test_nothing_else_than_an_id_is_in_an_engine(small: Engine, value: Any) -> None:
    assert value not in small


@pytest.mark.parametrize("value", [np.int64(30), np.uint8(30), 30])
def test_whole_numbers_of_other_makes_are_numbers(small: Engine, value: Any) -> None:
    found = small.retrieve("When was the lighthouse finished?", max_tokens=value, k=value)
    assert [s.id for s in found] == [
        s.id for s in small.retrieve("When was the lighthouse finished?", max_tokens=30, k=30)
    ]


def test_messages_name_the_argument_and_no_value(small: Engine) -> None:
    with pytest.raises(InputError, match=r"^question must be a string, not a list$"):
        small.retrieve(["a secret"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^max_tokens must be a whole number, not a str$"):
        small.retrieve("What?", max_tokens="9")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^filter has a field or operator that is a int"):
        small.ids({"n": {5: json.dumps("a secret")}})


def test_one_document_or_id_is_taken_for_a_list_of_one(small: Engine) -> None:
    assert small.add(Document("c", "One document.")).added == ("c",)
    assert small.delete("c") == 1
