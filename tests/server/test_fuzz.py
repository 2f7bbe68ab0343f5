"""Every endpoint with what its description allows and what it does not: never a 500."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from s3_retriever import Document, Engine
from tests.server.conftest import Running, serving

SLOW_SECONDS = 600


@pytest.fixture(scope="module")
def target(
    small: Callable[[Path | None], Engine], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A server that anything may be done to."""
    engine = small(tmp_path_factory.mktemp("fuzz") / "index")
    engine.add([Document(str(n), f"The mill of {n} is old. Flour is white.") for n in range(5)])
    with serving(engine) as running:
        yield running


def _fuzz(server: Running, examples: int, seed: int) -> int:
    """Try ``examples`` of each operation and mode; how many requests that were."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    n = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:

            @settings(
                max_examples=examples,
                database=None,
                derandomize=False,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: schemathesis.Case) -> None:
                nonlocal n
                n += 1
                response = case.call(timeout=60)
                assert response.status_code < 500 or response.status_code == 503
                case.validate_response(
                    response, checks=[not_a_server_error, response_schema_conformance]
                )
                if response.status_code >= 400:
                    assert response.json()["error"]["message"]

            check._hypothesis_internal_use_seed = seed
            with suppress(Unsatisfiable):  # nothing can be wrong where nothing is taken
                check()
    return n


def _is_well(server: Running) -> None:
    with server.client() as client:
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/search", json={"question": "Is it old?"}).status_code == 200
        for job in client.get("/v1/jobs").json()["jobs"]:
            client.delete(f"/v1/jobs/{job['id']}")


def test_no_operation_fails(target: Running) -> None:
    assert _fuzz(target, examples=2, seed=1) > 50
    _is_well(target)


@pytest.mark.slow
@pytest.mark.timeout(2 * SLOW_SECONDS)
def test_no_operation_fails_for_ten_minutes(target: Running) -> None:
    until = time.monotonic() + SLOW_SECONDS
    seed = 2
    while time.monotonic() < until:
        _fuzz(target, examples=20, seed=seed)
        _is_well(target)
        seed += 1
