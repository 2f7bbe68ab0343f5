"""What is found is the same wherever an index lies: the same spans, and the same scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.postgres.connection import Database
from s3_retriever.storage.postgres.schema import create
from s3_retriever.storage.postgres.url import StoreUrl
from s3_retriever.types import Span
from tests.postgres import Server

SAMPLES = Path(__file__).parents[3] / "s3_retriever" / "data" / "samples"
_numbers = count()


def paragraphs(*names: str) -> list[Document]:
    """The paragraphs of samples as documents of their own."""
    found = []
    for name in names:
        text = (SAMPLES / f"{name}.txt").read_text(encoding="utf-8")
        for number, piece in enumerate(re.split(r"\n\s*\n", text)):
            if len(piece) > 40:
                found.append(Document(f"{name}/{number}", piece, {"of": name, "number": number}))
    return found


def questions(documents: Sequence[Document], n: int) -> list[str]:
    """Sentences of documents at equal distances, two of them together in every other one."""
    sentences = [s for d in documents for s in re.findall(r"[A-Z][^.]{30,120}\.", d.text)]
    step = max(1, len(sentences) // n)
    asked = sentences[::step][:n]
    return [q if i % 2 else f"{q} {asked[-1 - i]}" for i, q in enumerate(asked)]


@pytest.fixture(scope="module")
def profile() -> Profile:
    return Profile.load("smollm2-135m-instruct")


class Everywhere:
    """The same documents in memory, on one server and on two."""

    def __init__(
        self, embedded: Engine, servers: tuple[Server, Server], bundle: Path, commits: int = 1
    ) -> None:
        first, second = servers
        self.embedded = embedded
        embedded.export_bundle(bundle)
        urls = [first.url(schema=f"same_{next(_numbers)}") for _ in range(2)]
        url = StoreUrl.parse(urls[1])
        create(Database(url), embedded.profile.card, None, {"second": second.url()})
        self.others = [Engine(embedded.llm, embedded.profile, url) for url in urls]
        for other in self.others:
            other.import_bundle(bundle)

    def ask(self, question: str, cache: QueryCache | None, **arguments: Any) -> list[Span]:
        """What all of them find, which has to be the same; the question is read once for all."""
        expected = list(self.embedded.retrieve(question, query_cache=cache, **arguments))
        for other in self.others:
            found = list(other.retrieve(question, query_cache=cache, **arguments))
            assert [s.id for s in found] == [s.id for s in expected]
            assert [s.text for s in found] == [s.text for s in expected]
            for one, two in zip(found, expected, strict=True):
                assert one.score == pytest.approx(two.score, rel=1e-5, abs=1e-5)
                assert one.scores == pytest.approx(dict(two.scores), rel=1e-5, abs=1e-5)
                assert one.metadata == two.metadata
        return expected


@pytest.fixture(scope="module")
def everywhere(
    llm: TransformersModel,
    profile: Profile,
    two_servers: tuple[Server, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Everywhere:
    """A sample: more blocks than are scored whole."""
    engine = Engine(llm, profile)
    engine.add(paragraphs("geology"))
    assert engine.documents.view.search.n_blocks > engine.retrieve_settings.candidates.cover
    return Everywhere(engine, two_servers, tmp_path_factory.mktemp("bundle") / "all.s3")


@pytest.fixture(scope="module")
def asked(everywhere: Everywhere) -> tuple[list[str], QueryCache]:
    """Two dozen questions, which the model has read."""
    found = questions(paragraphs("geology"), 24)
    return found, everywhere.embedded.cache_queries(found)


@pytest.mark.parametrize("mode", ["fast", "bm25"])
def test_the_same_spans_and_scores(
    everywhere: Everywhere, asked: tuple[list[str], QueryCache], mode: str
) -> None:
    for question in asked[0]:
        assert everywhere.ask(question, asked[1], mode=mode)


def test_every_token_is_looked_at(
    everywhere: Everywhere, asked: tuple[list[str], QueryCache]
) -> None:
    for question in asked[0][:6]:
        assert everywhere.ask(question, asked[1], mode="features")
        assert everywhere.ask(question, asked[1], mode="fast", scoring="coactivation")


def test_with_a_filter(everywhere: Everywhere, asked: tuple[list[str], QueryCache]) -> None:
    for condition in ({"of": "geology"}, {"number": {"$gte": 5}}, {"of": {"$match": "GEO"}}):
        for question in asked[0][:4]:
            assert everywhere.ask(question, asked[1], mode="fast", filter=condition)
    assert everywhere.ask(asked[0][0], asked[1], mode="fast", filter={"of": "pharmacy"}) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_questions(
    llm: TransformersModel,
    profile: Profile,
    two_servers: tuple[Server, Server],
    tmp_path: Path,
) -> None:
    """All samples, in the mode of two hops."""
    documents = paragraphs(*sorted(path.stem for path in SAMPLES.glob("*.txt")))
    engine = Engine(llm, profile)
    engine.add(documents)
    everywhere = Everywhere(engine, two_servers, tmp_path / "all.s3")
    asked = questions(documents, 200)
    assert len(asked) == 200
    cache = engine.cache_queries(asked)
    for question in asked:
        assert everywhere.ask(question, cache, mode="fast")
    for question in asked[::50]:
        assert everywhere.ask(question, cache, mode="hybrid", max_tokens=128)
