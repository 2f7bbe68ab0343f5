"""Run as a process of its own: flips bytes of an index's files and does everything with each.

Arguments: a folder to work in, the first and one past the last number of the flips. Damage may end
in errors of the library; what ends the process, or raises anything else, is seen from outside.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from s3_retriever import Document, Engine, RetrieveSettings
from s3_retriever.errors import EndogenousError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.check import problems
from s3_retriever.storage.repair import repair
from tests.damage import overwrite
from tests.tiny import TEXT, tiny_llm, write_profile

QUESTION = "When was the lamp finished?"
NARROW = RetrieveSettings.model_validate({"candidates": {"cover": 0}})


def write(folder: Path, llm: TransformersModel, profile: Profile) -> None:
    """Several segments, here and in Tantivy, so that the next adds merge some."""
    engine = Engine(llm, profile, folder)
    for n, documents in enumerate((5, 5, 2, 2, 1, 1)):
        engine.add([Document(f"{n}-{i}", f"Text {i}. {TEXT}", {"n": i}) for i in range(documents)])
    engine.delete(["0-1", "2-3"])


def everything(folder: Path, llm: TransformersModel, profile: Profile, first: int) -> None:
    """What can be done with an index, in an order that ``first`` says, and then its repair."""
    with contextlib.suppress(EndogenousError):
        engine = Engine(llm, profile, folder)
        steps: list[Callable[[], object]] = [
            lambda: engine.retrieve(QUESTION, mode="fast", settings=NARROW, max_tokens=60),
            lambda: [engine.add([Document(f"new {n}", TEXT)]) for n in range(2)],
            lambda: engine.delete(["0-0"]),
            engine.compact,
            lambda: engine.update_metadata({"0-2": {"a": 1}}),
            lambda: engine.snapshot(folder.parent / "copy"),
            lambda: engine.export_bundle(folder.parent / "bundle"),
            lambda: list(problems(folder, profile.card)),
        ]
        for step in steps[first % len(steps) :] + steps[: first % len(steps)]:
            with contextlib.suppress(EndogenousError):
                step()
    with contextlib.suppress(EndogenousError):
        repair(folder, profile.card)
        assert not list(problems(folder, profile.card))


def main(work: Path, first: int, last: int) -> None:
    llm = tiny_llm()
    profile = Profile.load(write_profile(work / "profile", llm))
    write(work / "sound", llm, profile)
    files = sorted(p.relative_to(work) for p in (work / "sound").rglob("*") if p.is_file())
    files = [path for path in files if (work / path).stat().st_size]
    for number in range(first, last):
        source = random.Random(number)
        folder = work / f"{number}" / "sound"
        shutil.copytree(work / "sound", folder)
        path = work / f"{number}" / files[number % len(files)]
        content = bytearray(path.read_bytes())
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
        overwrite(path, bytes(content))
        sys.stderr.write(f"{path}\n")
        everything(folder, llm, profile, first=source.randrange(8))
        shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
