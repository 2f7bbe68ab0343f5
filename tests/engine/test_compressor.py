"""When a text is read to be compressed: only if need be, once, and while others are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Engine
from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTION = "When was the lighthouse finished?"
WAIT = 60
"""Seconds after which a thread that waits for another has waited in vain."""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    llm = tiny_llm()
    return Engine(llm, Profile.load(write_profile(tmp_path, llm)))


@pytest.fixture
def scanned(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts, each time one is read."""
    return watched(engine, monkeypatch, lambda text: None)


def watched(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, before: Callable[[str], object]
) -> list[str]:
    """Call something before each text is read, and note the text."""
    texts: list[str] = []
    scan = engine._scanner.scan

    def watching(documents: list[Any], **options: Any) -> Iterator[Any]:
        for document in documents:
            texts.append(document.text)
            before(document.text)
        return scan(documents, **options)

    monkeypatch.setattr(engine._scanner, "scan", watching)
    return texts


def test_a_text_that_fits_is_not_read(engine: Engine, scanned: list[str]) -> None:
    calls = 0

    def forbidden(*_: object) -> None:
        nonlocal calls
        calls += 1

    for module in engine.llm.model.modules():
        module.register_forward_pre_hook(forbidden)
    result = engine.compress(QUESTION, TEXT, engine.llm.count_tokens(TEXT))
    assert (result.text, result.n_tokens) == (TEXT, engine.llm.count_tokens(TEXT))
    assert [(span.start, span.end, span.text) for span in result.spans] == [(0, len(TEXT), TEXT)]
    assert (calls, scanned) == (0, [])
    engine.compress(QUESTION, TEXT, engine.llm.count_tokens(TEXT) - 1)
    assert (calls > 0, scanned) == (True, [TEXT])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"question": " "}, "question is empty"),
        ({"mode": "best"}, "mode must be"),
        ({"scoring": "magic"}, "scoring must be"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
@pytest.mark.parametrize("max_tokens", [10, 10_000])
def test_what_is_wrong_is_wrong_for_a_text_that_fits_too(
    engine: Engine, scanned: list[str], max_tokens: int, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        engine.compress(**{"question": QUESTION, "text": TEXT, "max_tokens": max_tokens, **wrong})
    assert scanned == []


def test_two_texts_are_read_side_by_side(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)  # passed only if each is read while the other is
    scanned = watched(engine, monkeypatch, lambda text: both.wait(WAIT))
    texts = [TEXT, TEXT.upper()]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda text: engine.compress(QUESTION, text, 20), texts))
    assert sorted(scanned) == sorted(texts)
    for text, result in zip(texts, found, strict=True):
        assert all(text[span.start : span.end] == span.text for span in result.spans)


def test_a_text_that_two_ask_about_is_read_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, asked = threading.Event(), threading.Event()

    def wait(text: str) -> None:
        reading.set()
        assert asked.wait(WAIT)

    scanned = watched(engine, monkeypatch, wait)

    def second() -> object:
        assert reading.wait(WAIT)
        threading.Timer(0.1, asked.set).start()  # the first goes on while this one waits
        return engine.compress(QUESTION, TEXT, 20)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(engine.compress, QUESTION, TEXT, 20)
        again = threads.submit(second)
        assert first.result() == again.result()
    assert scanned == [TEXT]


def test_a_text_whose_reading_failed_is_read_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = [True]

    def fail(text: str) -> None:
        if failing.pop():
            raise RuntimeError("out of memory")

    scanned = watched(engine, monkeypatch, fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine.compress(QUESTION, TEXT, 20)
    failing.append(False)
    assert engine.compress(QUESTION, TEXT, 20).n_tokens <= 20
    assert scanned == [TEXT, TEXT]


def test_the_last_four_texts_are_kept(engine: Engine, scanned: list[str]) -> None:
    texts = [f"Part {n}. {TEXT}" for n in range(5)]
    for text in texts:
        engine.compress(QUESTION, text, 20)
    for text in texts[1:]:
        engine.compress("What burned?", text, 20)
    assert scanned == texts
    engine.compress(QUESTION, texts[0], 20)
    assert scanned == [*texts, texts[0]]
