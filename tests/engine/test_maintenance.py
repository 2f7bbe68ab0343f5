"""What the engine keeps, with a small random model: everything is real but the quality."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import IndexLockedError, InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.tiny import tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small() -> TransformersModel:
    return tiny_llm(max_position_embeddings=4096)


@pytest.fixture(scope="module")
def small_profile(small: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return Profile.load(write_profile(tmp_path_factory.mktemp("profile"), small))


@pytest.fixture
def engine(small: TransformersModel, small_profile: Profile, tmp_path: Path) -> Engine:
    engine = Engine(small, small_profile, tmp_path / "index")
    engine.add(
        [
            Document("a", "Red roses need water.", {"kind": "plant", "seen": date(2024, 5, 1)}),
            Document("b", "The sky is blue today.", {"kind": "sky"}),
        ]
    )
    return engine


def test_what_is_known_is_not_read_again(engine: Engine) -> None:
    """The counter is of the tokens that went through the model."""
    text = engine.get("a").text  # type: ignore[union-attr]
    same = engine.add([Document("a", text, {"kind": "plant", "seen": "2024-05-01"})])
    assert (same.unchanged, same.tokens_scanned) == (("a",), 0)
    tagged = engine.add([Document("a", text, {"kind": "flower"})])
    assert (tagged.updated, tagged.tokens_scanned) == (("a",), 0)
    changed = engine.add([Document("a", text + " And sun.", {"kind": "flower"})])
    assert changed.updated == ("a",)
    assert changed.tokens_scanned == len(engine.llm.tokenize(text + " And sun."))


def test_metadata_is_new_at_once_in_filters_and_spans(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine._scanner, "scan", None)  # nothing is read
        assert engine.update_metadata({"a": {"kind": "flower"}, "nobody": {}}) == 1
    spans = engine.retrieve("roses", filter={"kind": "flower"}, mode="fast")
    assert {s.doc_id for s in spans} == {"a"}
    assert spans[0].metadata == {"kind": "flower"}
    assert engine.retrieve("roses", filter={"kind": "plant"}, mode="fast") == []


def test_filters_hold_on_every_leg(engine: Engine) -> None:
    late = {"seen": {"$gt": date(2024, 1, 1)}}
    for mode in ("hybrid", "fast", "features", "bm25"):
        for condition, expected in ((late, {"a"}), ({"$not": late}, {"b"})):
            spans = engine.retrieve("roses sky", filter=condition, mode=mode)  # type: ignore[arg-type]
            assert {s.doc_id for s in spans} == expected, mode


def test_delete_where(engine: Engine) -> None:
    assert engine.delete_where({"kind": {"$match": "PLA"}}) == 1
    assert engine.ids() == ["b"]
    with pytest.raises(InputError):
        engine.delete_where({})


def test_the_same_is_found_after_compaction_and_in_copies(engine: Engine, tmp_path: Path) -> None:
    engine.add(["A third text about roses."])
    engine.delete("b")
    before = engine.retrieve("Which roses?", mode="fast")
    engine.export_bundle(tmp_path / "bundle")
    engine.snapshot(tmp_path / "copy")
    engine.compact()
    copy = Engine(engine.llm, engine.profile, tmp_path / "copy")
    imported = Engine(engine.llm, engine.profile)
    assert len(imported.import_bundle(tmp_path / "bundle").added) == 2
    for other in (engine, copy, imported):
        assert other.retrieve("Which roses?", mode="fast") == before
    info = engine.info()
    assert info["deleted_tokens"] == 0
    assert sum(info["forward_bytes"].values()) >= 0.9 * info["bytes"]["forward"]


def test_namespaces_share_the_model_and_nothing_else(engine: Engine) -> None:
    team = engine.namespace("team")
    assert team.llm is engine.llm
    assert len(team) == 0
    team.add([Document("a", "Violets are violet.")])
    assert engine.namespace("team") is team
    assert engine.namespaces() == ["team"]
    assert {s.text for s in team.retrieve("roses sky violets", mode="fast")} == {
        "Violets are violet."
    }
    assert "Violets" not in "".join(s.text for s in engine.retrieve("violets", mode="fast"))
    engine.delete(["a"])
    assert team.ids() == ["a"]
    again = Engine(engine.llm, engine.profile, engine.index.folder)
    assert again.namespaces() == ["team"]
    assert again.namespace("team").ids() == ["a"]
    in_memory = Engine(engine.llm, engine.profile)
    in_memory.namespace("x").add(["Some text."])
    assert (len(in_memory), len(in_memory.namespace("x"))) == (0, 1)


def test_two_engines_on_one_folder(engine: Engine) -> None:
    other = Engine(engine.llm, engine.profile, engine.index.folder)
    engine.add([Document("c", "Black coal.")])
    assert other.get("c") == Document("c", "Black coal.")  # without being told to look
    with other.index.writing(), pytest.raises(IndexLockedError, match=r"process [0-9]+ on "):
        engine.delete("c")
    other.delete("c")
    assert engine.ids() == ["a", "b"]


def mixed(engine: Engine, n_threads: int, until: float | int) -> None:
    """Threads that ask, add and delete: ``until`` is operations of each, or seconds (a float)."""
    versions: dict[str, set[str]] = defaultdict(set)
    wrong: list[object] = []
    started = time.monotonic()

    def over(done: int) -> bool:
        return time.monotonic() - started > until if isinstance(until, float) else done >= until

    def work(number: int) -> None:
        chance = random.Random(number)
        done = 0
        while not over(done) and not wrong:
            done += 1
            doc_id = f"doc{chance.randrange(8)}"
            what = chance.choice(["ask", "ask", "ask", "add", "delete", "compact"])
            try:
                if what == "add":
                    text = f"Roses of {doc_id} number {number} time {done}. " * chance.randint(1, 9)
                    versions[doc_id].add(text)
                    engine.add([Document(doc_id, text, {"of": doc_id})])
                elif what == "delete":
                    engine.delete([doc_id])
                elif what == "compact":
                    if done % 5 == 0:
                        engine.compact()
                else:
                    condition = {"of": doc_id} if chance.random() < 0.5 else None
                    for span in engine.retrieve(
                        f"roses of {doc_id}", mode="fast", filter=condition
                    ):
                        seen = {t[span.start : span.end] for t in set(versions[span.doc_id])}
                        if span.text not in seen or (condition and span.doc_id != doc_id):
                            wrong.append((span, condition))
            except BaseException as e:
                wrong.append(e)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(400)
        assert not thread.is_alive(), "a deadlock"
    assert wrong == []


@pytest.fixture
def empty(small: TransformersModel, small_profile: Profile, tmp_path: Path) -> Engine:
    return Engine(small, small_profile, tmp_path / "index")


def test_sixteen_threads(empty: Engine) -> None:
    mixed(empty, 16, 8)


@pytest.mark.slow
def test_sixteen_threads_for_a_minute(empty: Engine) -> None:
    mixed(empty, 16, 60.0)


def test_the_event_loop_goes_on_during_an_add(empty: Engine) -> None:
    """The reading waits for the loop in its middle: a blocked loop could never let it go on."""
    loop_ran = threading.Event()
    answers = []

    def waits(tokens: int, characters: int) -> None:
        answers.append(loop_ran.wait(60))

    async def main() -> None:
        adding = asyncio.create_task(empty.aadd(["Red roses."], on_progress=waits))
        await asyncio.sleep(0)
        loop_ran.set()
        await adding

    asyncio.run(main())
    assert answers
    assert all(answers)


def test_the_event_loops_lag_is_a_part_of_the_work(engine: Engine) -> None:
    """No absolute time: if questions blocked the loop, its longest pause would be all of them."""

    async def main() -> tuple[float, float]:
        pauses = [0.0]
        last = time.perf_counter()

        async def tick() -> None:
            nonlocal last
            while True:
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                pauses.append(now - last)
                last = now

        ticking = asyncio.create_task(tick())
        started = time.perf_counter()
        results = await asyncio.gather(
            *(engine.aretrieve("roses?", mode="fast") for _ in range(100)),
            engine.acompress("roses?", "Red roses. " * 200, 50, mode="fast"),
        )
        total = time.perf_counter() - started
        ticking.cancel()
        assert all(results)
        assert await engine.adelete(["b"]) == 1
        return max(pauses), total

    pause, total = asyncio.run(main())
    assert pause < total / 2
