"""The suite that every scan runner has to pass."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from s3_retriever.encoding.chunks import rounds
from s3_retriever.encoding.runners import ScanPlan, ScanRunner, load_scanner
from s3_retriever.types import Document, EncodedDocument, FailedDocument

__all__ = ["ScanRunnerContract", "assert_equal", "whole"]

_TEXTS = (
    "The lighthouse on Skerry Point was finished in 1887. Its first keeper was Anna Lind.",
    "Sourdough needs no bought yeast.\n\nFlour and water ferment for a week.",
    "Short.",
    "Ein Satz. Noch einer, mit Umlauten: ä ö ü.",
)


class ScanRunnerContract:
    """Subclass it, give the fixtures ``runner`` and ``plan``, and let pytest find it.

    ``plan`` names a profile and a model that can be loaded wherever the runner reads.
    """

    @pytest.fixture
    def runner(self) -> ScanRunner:
        """The implementation."""
        raise NotImplementedError

    @pytest.fixture
    def plan(self) -> ScanPlan:
        """What it reads with."""
        raise NotImplementedError

    @staticmethod
    def documents(n: int) -> list[Document]:
        """``n`` documents of some lengths."""
        return [Document(f"d{i}", _TEXTS[i % 4] * (1 + i % 3), {"number": i}) for i in range(n)]

    def test_codes_are_those_of_a_local_scan(self, runner: ScanRunner, plan: ScanPlan) -> None:
        """Byte for byte, and so are places and bounds; several rounds are read, and in order."""
        documents = self.documents(150)
        assert len(list(rounds(documents, plan.settings.batch_tokens))) > 3
        expected = list(load_scanner(plan).scan(documents))
        assert_equal(runner.run(plan, documents), expected)

    def test_a_document_fails_alone(self, runner: ScanRunner, plan: ScanPlan) -> None:
        """With its reason, in its place; the others are as they are read by themselves."""
        documents = self.documents(4)
        bad = Document("bad", "half a letter: \ud83d")
        first, failed, *others = runner.run(plan, [documents[0], bad, *documents[1:]])
        assert isinstance(failed, FailedDocument)
        assert failed.doc_id == "bad"
        assert "lone surrogate" in failed.reason
        scanner = load_scanner(plan)
        alone = [coded for d in documents for coded in scanner.scan([d])]
        assert_equal([first, *others], alone)

    def test_nothing_gives_nothing(self, runner: ScanRunner, plan: ScanPlan) -> None:
        """No documents, no error."""
        assert list(runner.run(plan, [])) == []

    def test_a_plan_can_be_sent(self, runner: ScanRunner, plan: ScanPlan) -> None:
        """It says the same after it was pickled."""
        sent = pickle.loads(pickle.dumps(plan))  # noqa: S301  (our own)
        assert sent == plan
        documents = self.documents(3)
        assert_equal(runner.run(sent, documents), load_scanner(plan).scan(documents))

    def test_documents_are_taken_as_they_are_needed(
        self, runner: ScanRunner, plan: ScanPlan
    ) -> None:
        """A bounded number ahead of what is given back."""
        n, taken = 3000, 0

        def endless() -> Iterator[Document]:
            nonlocal taken
            for document in self.documents(n):
                taken += 1
                yield document

        reading = iter(runner.run(plan, endless()))
        next(reading)
        assert taken < n

    def test_what_is_read_is_told(self, runner: ScanRunner, plan: ScanPlan) -> None:
        """Tokens and characters add up to those of the documents."""
        told: list[tuple[int, int]] = []
        documents = self.documents(5)

        def tell(tokens: int, characters: int) -> None:
            told.append((tokens, characters))

        read = whole(runner.run(plan, documents, on_progress=tell))
        assert sum(tokens for tokens, _ in told) == sum(map(len, read))
        assert sum(n for _, n in told) == sum(len(d.text) for d in documents)

    def test_what_progress_raises_is_the_callers(self, runner: ScanRunner, plan: ScanPlan) -> None:
        """It ends the run, and no document is to blame."""

        def stop(tokens: int, characters: int) -> None:
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            list(runner.run(plan, self.documents(2), on_progress=stop))


def whole(read: Iterable[EncodedDocument | FailedDocument]) -> list[EncodedDocument]:
    """What was read; nothing has failed."""
    found = []
    for one in read:
        assert isinstance(one, EncodedDocument), one
        found.append(one)
    return found


def assert_equal(
    found: Iterable[EncodedDocument | FailedDocument],
    expected: Iterable[EncodedDocument | FailedDocument],
) -> None:
    """All fields of all documents are the same."""
    found, expected = whole(found), whole(expected)
    assert [e.document for e in found] == [e.document for e in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("starts", "ends", "ids", "activations"):
            a, b = getattr(one, name), getattr(other, name)
            assert a.dtype == b.dtype
            assert np.array_equal(a, b)
        assert np.array_equal(one.bounds.sentences, other.bounds.sentences)
        assert np.array_equal(one.bounds.paragraphs, other.bounds.paragraphs)
