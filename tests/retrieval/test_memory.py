"""What is remembered between questions: bounded, of one state of an index, and never wrong."""

from __future__ import annotations

import gc
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import ref

import pytest

from s3_retriever import Document, Engine
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.memory import Memories, Memory
from s3_retriever.testing.legs import make_view
from tests.tiny import tiny_llm, write_profile

PLACES = ("Skerry Point", "Sandoy", "Perth", "Oslo", "Aurora")
THINGS = ("lamp", "keeper", "tower", "comet", "oven", "harbour", "starter")
QUESTIONS = ("Where did the keeper of the lamp go?", "What stands in Oslo?", "Is the oven hot?")


def test_a_value_is_made_once() -> None:
    memory, made = Memory(), []
    for key in ("a", "b", "a", "a"):
        assert memory.kept(key, lambda key=key: made.append(key) or key * 2, len) == key * 2
    assert made == ["a", "b"]


def test_what_was_asked_for_lately_stays_and_the_rest_is_forgotten() -> None:
    memory, made = Memory(40_000), []

    def ask(key: int) -> None:
        assert memory.kept(key, lambda: made.append(key) or key, lambda _: 1000) == key

    for key in range(1000):
        ask(key)
        ask(-1)
    assert made.count(-1) == 1  # never forgotten: it was asked for all the time
    before = len(made)
    for key in range(1000):
        ask(key)
    assert len(made) - before >= 1000 - 40  # no more than 40 of these had a place


def test_a_value_that_is_larger_than_the_memory_is_not_kept() -> None:
    memory = Memory(1000)
    found = [memory.kept("a", object, lambda _: 2000) for _ in range(2)]
    assert found[0] is not found[1]


def test_threads_share_a_memory() -> None:
    memory = Memory(30_000)  # so small that threads forget what others need

    def ask(seed: int) -> bool:
        keys = random.Random(seed).choices(range(200), k=5000)
        return all(memory.kept(k, lambda k=k: str(k), len) == str(k) for k in keys)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(8)))


def test_each_state_has_a_memory_that_goes_with_it() -> None:
    memories = Memories()
    first, second = (make_view([Document("a", "The mill is old.")]) for _ in range(2))
    assert memories.of(first) is memories.of(first)
    assert memories.of(first) is not memories.of(second)
    kept = ref(memories.of(first))
    del first
    gc.collect()
    assert kept() is None


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    llm = tiny_llm(max_position_embeddings=1024)
    return llm, Profile.load(write_profile(tmp_path_factory.mktemp("profile"), llm))


def document(draw: random.Random, number: int) -> Document:
    lines = [
        f"{draw.choice(PLACES)}\nThe {draw.choice(THINGS)} of {draw.choice(PLACES)} is new. "
        f"Nobody has seen the {draw.choice(THINGS)} since {draw.randrange(1900, 2000)}."
        for _ in range(draw.randrange(1, 6))
    ]
    return Document(f"d{number}", "\n\n".join(lines), {"title": draw.choice(PLACES)})


def test_an_index_that_changes_answers_as_one_that_was_just_opened(
    parts: tuple, tmp_path: Path
) -> None:
    """Ids keep their names while their texts change: what was remembered must not be asked."""
    draw = random.Random(0)
    engine = Engine(*parts, tmp_path / "index")
    there: dict[str, Document] = {}

    def check() -> None:
        anew = Engine(*parts, tmp_path / "index")
        assert {one.id: one for one in anew.get_many(anew.ids())} == there
        for question in QUESTIONS * 2:  # the second time from memory
            found = [
                [(span.id, span.text, span.score, span.scores) for span in one.retrieve(question)]
                for one in (engine, anew)
            ]
            assert found[0] == found[1]
            assert found[0]

    for step in range(4):
        changed = [document(draw, number) for number in draw.sample(range(12), 5)]
        engine.add(changed)
        there |= {one.id: one for one in changed}
        check()
        if step % 2:
            gone = draw.choice(sorted(there))
            engine.delete([gone])
            del there[gone]
            engine.compact()
            check()
