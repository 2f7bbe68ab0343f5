"""Writers that are going to be killed.

``python -m tests.storage.writer_child`` imports everything once and then, for each line ``FOLDER
SEED KIND`` on its standard input, forks a writer that works until it is killed. Before each
operation a writer prints what must be there afterwards, and when the operation has returned (is
acknowledged) it says so. Texts are pieces of the shipped samples; codes are random, as no model is
needed to lose data.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import traceback
from pathlib import Path

from s3_retriever.cli.demo import sample_text
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import compact
from s3_retriever.storage.repair import repair
from tests.storage.conftest import code, random_card

WORDS = sample_text().split()


def text_of(serial: int) -> str:
    """A piece of real text that says which one it is."""
    start = 61 * serial % (len(WORDS) - 200)
    return " ".join([f"serial{serial}", *WORDS[start : start + 20 + 13 * serial % 150]])


def say(word: str, **more: object) -> None:
    """One line of JSON on standard output."""
    os.write(1, (json.dumps({"is": word, **more}) + "\n").encode())  # whole, or not at all


def work(folder: Path, seed: int, favourite: str) -> None:
    """Add, delete, compact and repair until killed; two in three times the favourite."""
    chance = random.Random(seed)
    card = random_card()
    index = Index(folder, card)
    serials = {i: int(s.text(e).split()[0][6:]) for i, (s, e) in index.snapshot.live.items()}
    serial = max(serials.values(), default=0)
    while True:
        kind = chance.choice([*[favourite] * 8, "add", "delete", "compact", "repair"])
        after = dict(serials)
        new = []
        ids = {f"doc{chance.randrange(12)}" for _ in range(4)}
        gone = [doc_id for doc_id in sorted(ids) if kind == "delete" and doc_id in after][:2]
        for doc_id in gone:
            del after[doc_id]
        if kind in ("add", "replace") or not after:
            for doc_id in sorted(after if kind == "replace" else ids)[:4]:
                serial += 1
                after[doc_id] = serial
                new.append(code(doc_id, text_of(serial), seed=serial))
        say("doing", kind=kind, after=after)
        if kind == "compact":
            compact(index, target_tokens=400)
        elif kind == "repair":
            repair(folder, card)
            index.refresh()
        else:
            with index.writing():
                index.commit(new, delete=gone)
        serials = after
        say("done", after=after)


def main() -> None:
    """Fork a writer for each line, and say when it is there and how it ended."""
    for line in sys.stdin:
        folder, seed, favourite = line.split()
        if (pid := os.fork()) == 0:
            # a shell ignores Ctrl-C for what it starts in the background, and children inherit it
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                work(Path(folder), int(seed), favourite)
            except KeyboardInterrupt:
                os._exit(130)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        say("started", pid=pid)
        say("ended", status=os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
