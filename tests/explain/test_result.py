"""A result is its spans and its question; the engine is neither kept alive nor copied with it."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.profiles.profile import Profile
from tests.tiny import TEXT, tiny_llm, write_profile

QUESTION = "When was the lighthouse finished?"

COPIES: list[Callable[[RetrievalResult], RetrievalResult]] = [
    lambda result: pickle.loads(pickle.dumps(result)),
    copy.deepcopy,
    copy.copy,
]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return Profile.load(write_profile(tmp_path_factory.mktemp("profile"), tiny_llm()))


@pytest.fixture
def small(profile: Profile) -> Engine:
    """An engine of its own, which a test may let go of."""
    engine = Engine(tiny_llm(), profile)
    engine.add([Document("facts", TEXT, {"kind": "short"})])
    return engine


@pytest.mark.parametrize("make", COPIES, ids=["pickle", "deepcopy", "copy"])
class TestCopies:
    def test_keep_spans_and_question(
        self, small: Engine, make: Callable[[RetrievalResult], RetrievalResult]
    ) -> None:
        found = small.retrieve(QUESTION, token_scores=True)
        assert found
        again = make(found)
        assert type(again) is RetrievalResult
        assert again == found
        assert again.question == QUESTION
        assert again._repr_html_() == found._repr_html_()
        assert len(pickle.dumps(found)) < 10_000

    def test_say_what_they_lack_and_take_it(
        self,
        small: Engine,
        make: Callable[[RetrievalResult], RetrievalResult],
        tmp_path: Path,
    ) -> None:
        pytest.importorskip("matplotlib")
        again = make(small.retrieve(QUESTION))
        with pytest.raises(InputError, match=r"engine=\.\.\."):
            again.plot()
        with pytest.raises(InputError, match=r"engine=\.\.\."):
            again.to_html(tmp_path / "page.html")
        assert not (tmp_path / "page.html").exists()
        page = again.to_html(tmp_path / "page.html", engine=small)
        assert f'id="{again[0].id}"' in page.read_text(encoding="utf-8")
        assert again.plot(engine=small).axes


def test_an_engine_goes_though_its_results_stay(profile: Profile) -> None:
    engine = Engine(tiny_llm(), profile)
    engine.add([Document("facts", TEXT)])
    found = engine.retrieve(QUESTION)
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    assert found[0].doc_id == "facts"
    with pytest.raises(InputError, match="is gone"):
        found.plot()
