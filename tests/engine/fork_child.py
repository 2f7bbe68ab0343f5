"""Run as a process of its own: loads a model, asks, forks, and asks again in the children.

Arguments: threads of torch, how to fork (``os`` or ``multiprocessing``), whether a question is on
its way in another thread (``busy``) or not (``quiet``), a folder to work in.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from pathlib import Path

import torch

from s3_retriever import Document, Engine
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile

QUESTION = "When was the lighthouse finished?"
MODES = ("hybrid", "fast", "features")


def ask(engine: Engine) -> list[str]:
    return [s.id for mode in MODES for s in engine.retrieve(QUESTION, max_tokens=60, mode=mode)]


def in_child(engine: Engine, expected: list[str], number: int) -> None:
    assert ask(engine) == expected
    text = f"Child {number}. " + 20 * TEXT
    engine.compress(QUESTION, text, 60)
    "".join(engine.answer(QUESTION, max_tokens=60, max_new_tokens=4))
    own = engine.namespace(f"child-{number}")
    own.add([Document("text", text)])
    assert ask(own)


def fork(how: str, engine: Engine, expected: list[str], number: int) -> bool:
    """Whether the child did all that was asked of it."""
    if how == "multiprocessing":
        process = multiprocessing.get_context("fork").Process(
            target=in_child, args=(engine, expected, number)
        )
        process.start()
        process.join()
        return process.exitcode == 0
    if child := os.fork():
        return os.waitpid(child, 0)[1] == 0
    try:
        in_child(engine, expected, number)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    threads, how, business, place = sys.argv[1:]
    torch.set_num_threads(int(threads))
    # wide enough for torch to share its products among threads
    llm = tiny_llm(hidden_size=384, intermediate_size=1536, max_position_embeddings=2048)
    profile = Profile.load(write_profile(Path(place) / "profile", llm))
    engine = Engine(llm, profile, Path(place) / "index")
    engine.add([Document("a", 20 * TEXT), Document("b", "Comets have tails. " * 50)])
    expected = ask(engine)
    ended = threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            ask(engine)
            engine.compress(QUESTION, 30 * TEXT, 60)

    asking = threading.Thread(target=go_on)
    if business == "busy":
        asking.start()
    try:
        done = [fork(how, engine, expected, n) for n in range(2)]
    finally:
        ended.set()
        if business == "busy":
            asking.join()
    assert all(done), done
    assert ask(engine)


if __name__ == "__main__":
    main()
