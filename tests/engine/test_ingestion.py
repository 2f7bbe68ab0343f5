"""Adding: documents are read without the writer's lock, which a commit takes for a moment."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch

from s3_retriever import Document, Engine
from s3_retriever.encoding.runners import LocalRunner, ScanPlan
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError, ModelError
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.types import EncodedDocument, FailedDocument
from tests.tiny import TEXT, tiny_llm, write_profile


class SlowRunner:
    """Stops after the first document until it is told to go on."""

    def __init__(self, scanner: Scanner) -> None:
        self._runner = LocalRunner(scanner)
        self.reading = threading.Event()
        self.go_on = threading.Event()

    def run(
        self,
        plan: ScanPlan,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> Iterator[EncodedDocument | FailedDocument]:
        for encoded in self._runner.run(plan, documents, on_progress=on_progress):
            self.reading.set()
            assert self.go_on.wait(120)
            yield encoded


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    llm = tiny_llm()
    (tmp_path / "profile").mkdir()
    profile = Profile.load(write_profile(tmp_path / "profile", llm))
    engine = Engine(llm, profile, tmp_path / "index", scan=ScanSettings(segment_tokens=1))
    engine.add([Document("old", TEXT), Document("kept", "Kept. " + TEXT)])
    return engine


@pytest.fixture
def slow(engine: Engine) -> SlowRunner:
    return SlowRunner(Scanner(engine.llm, engine.profile, engine.scan_settings))


def adding(
    engine: Engine, documents: list[Document], slow: SlowRunner
) -> tuple[threading.Thread, list]:
    reports: list = []
    thread = threading.Thread(target=lambda: reports.append(engine.add(documents, runner=slow)))
    thread.start()
    assert slow.reading.wait(120)
    return thread, reports


def test_a_delete_does_not_wait_for_a_scan(engine: Engine, slow: SlowRunner) -> None:
    thread, reports = adding(engine, [Document("new", "New. " + TEXT)], slow)
    assert engine.delete("old") == 1  # the scan has not ended: it waits for us
    assert "old" not in engine
    slow.go_on.set()
    thread.join()
    assert reports[0].added == ("new",)
    assert set(engine.ids()) == {"kept", "new"}


def test_neither_does_another_process(engine: Engine, slow: SlowRunner, tmp_path: Path) -> None:
    thread, _ = adding(engine, [Document("new", "New. " + TEXT)], slow)
    places = ["--index", str(tmp_path / "index"), "--profile", str(tmp_path / "profile")]
    done = subprocess.run(
        [sys.executable, "-m", "s3_retriever", "delete", "old", *places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    slow.go_on.set()
    thread.join()
    assert set(engine.ids()) == {"kept", "new"}


def test_what_was_deleted_meanwhile_is_read_again(engine: Engine, slow: SlowRunner) -> None:
    """``old`` was known when the adding began, and is not any more when it is committed."""
    known = [
        Document("old", TEXT),
        Document("kept", "Kept. " + TEXT),
    ]
    thread, reports = adding(engine, [Document("new", "New. " + TEXT), *known], slow)
    engine.delete("old")
    slow.go_on.set()
    thread.join()
    assert set(engine.ids()) == {"kept", "new", "old"}
    assert engine.get("old") == Document("old", TEXT)
    assert (reports[0].added, reports[0].unchanged) == (("new", "old"), ("kept",))


def test_the_last_to_commit_wins(engine: Engine, slow: SlowRunner) -> None:
    thread, reports = adding(engine, [Document("new", "Slow. " + TEXT)], slow)
    engine.add([Document("new", "Fast. " + TEXT)])
    slow.go_on.set()
    thread.join()
    found = engine.get("new")
    assert found is not None
    assert found.text == "Slow. " + TEXT
    assert reports[0].updated == ("new",)


def test_another_language_finds_other_sentences(engine: Engine) -> None:
    text = "Am 3. Oktober war es. Ja."
    engine.add([Document("text", text)])
    assert engine.documents.view.bounds("text").sentences.tolist() == [[0, 5], [6, 21], [22, 25]]
    for change in (
        lambda: engine.update_metadata({"text": {"language": "de"}}),
        lambda: engine.add([Document("text", text, {"lang": "de-AT"})]),
    ):
        change()
        assert engine.documents.view.bounds("text").sentences.tolist() == [[0, 21], [22, 25]]
        engine.add([Document("text", text)])


@pytest.fixture
def faulty(engine: Engine) -> Iterator[Engine]:
    """Runs out of memory wherever the letter ``Z`` is read."""
    (bad,) = engine.llm.tokenize("Z").ids

    def refuse(_: object, args: tuple[torch.Tensor, ...]) -> None:
        if (args[0] == bad).any():
            raise torch.OutOfMemoryError("Tried to allocate 20 GiB")

    handle = engine.llm.model.model.embed_tokens.register_forward_pre_hook(refuse)
    yield engine
    handle.remove()


REASON = "it could not be read: OutOfMemoryError: Tried to allocate 20 GiB"


def test_a_document_that_cannot_be_read_is_left_out_alone(faulty: Engine) -> None:
    given = [Document(i, text) for i, text in (("a", "One."), ("bad", "Z."), ("b", "Two."))]
    report = faulty.add([*given, Document("old", "Another Z.")])
    assert report.added == ("a", "b")
    assert report.skipped == {"bad": REASON, "old": REASON}
    assert report.ids == ("a", None, "b", None)
    assert set(faulty.ids()) == {"a", "b", "kept", "old"}
    assert faulty.get("old") == Document("old", TEXT)  # as it was


def test_or_ends_the_adding_if_asked(faulty: Engine) -> None:
    with pytest.raises(InputError, match=f"document bad: {REASON}"):
        faulty.add([Document("a", "One."), Document("bad", "Z.")], on_error="raise")
    with pytest.raises(InputError, match=f"document bad: {REASON}"):  # nothing at all was read
        faulty.add([Document("bad", "Z.")])


def test_a_runner_with_other_weights_is_refused(engine: Engine, tmp_path: Path) -> None:
    other = tiny_llm(seed=1)
    other.model.save_pretrained(tmp_path / "other")
    other.tokenizer.save_pretrained(tmp_path / "other")
    engine._source = {"profile": str(tmp_path / "profile"), "model": str(tmp_path / "other")}
    with pytest.raises(ModelError, match="are others than those of the engine"):
        engine.add(["New."], runner=LocalRunner())
