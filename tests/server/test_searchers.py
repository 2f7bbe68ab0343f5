"""Processes that search answer as the engine does, see what is added, and are missed by nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.server.schemas.search import SpanBody
from s3_retriever.server.searchers import can_fork
from s3_retriever.server.settings import ServerSettings
from tests.engine.conftest import DOCUMENTS
from tests.server.conftest import eventually, finished, serving

pytestmark = pytest.mark.skipif(not can_fork(), reason="no fork here")
SETTINGS = ServerSettings(search_processes=2)


def test_processes_have_the_engine_s_answers(
    llm: TransformersModel, profile: Profile, tmp_path: Path
) -> None:
    engine = Engine(llm, profile, tmp_path / "index")
    engine.add(DOCUMENTS)
    with serving(engine, SETTINGS) as running, running.client() as client:
        assert len(multiprocessing.active_children()) == 2
        for mode in ("fast", "features", "bm25", "hybrid"):
            asked = {
                "question": "When was the lighthouse finished?",
                "mode": mode,
                "max_tokens": 60,
            }
            found = client.post("/v1/search", json=asked).json()["spans"]
            expected = engine.retrieve(asked["question"], mode=mode, max_tokens=60)
            spans = [SpanBody.model_validate(span).span() for span in found]
            assert [span.id for span in spans] == [span.id for span in expected]
            assert [s.score for s in spans] == pytest.approx([s.score for s in expected], rel=1e-3)
        wrong = client.post("/v1/search", json={"question": "x", "filter": {"$no": 1}})
        assert wrong.status_code == 400
    assert multiprocessing.active_children() == []


def test_processes_see_what_is_added_and_may_die(
    small: Callable[[Path | None], Engine], tmp_path: Path
) -> None:
    with serving(small(tmp_path / "index"), SETTINGS) as running, running.client() as client:

        def found(**others: object) -> set[str]:
            asked = {"question": "Which mill?", "mode": "fast", "max_tokens": None, **others}
            response = client.post("/v1/search", json=asked)
            assert response.status_code == 200
            return {span["doc_id"] for span in response.json()["spans"]}

        assert found() == set()
        for namespace in (None, "team"):
            documents = [{"id": f"in {namespace}", "text": "The mill is old."}]
            body = {"documents": documents, "namespace": namespace}
            finished(client, client.post("/v1/documents", json=body))
        assert found() == {"in None"}
        assert found(namespace="team") == {"in team"}
        assert found(namespace="nobody") == set()
        running.engine.add([Document("later", "Another mill.")])
        assert found() == {"in None", "later"}
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)
        assert eventually(lambda: not multiprocessing.active_children())
        assert found() == {"in None", "later"}
