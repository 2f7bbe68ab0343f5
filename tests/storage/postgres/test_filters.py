"""A filter in SQL passes what the filter itself passes, on one server and on two."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever.search.filters import compile_filter
from s3_retriever.storage.postgres.documents import PostgresDocuments
from s3_retriever.storage.postgres.filters import sql_filter
from tests.search.test_filters import FILTERS
from tests.storage.conftest import code
from tests.storage.postgres.conftest import MakeDocuments

VALUES: list[Any] = [
    *[-3, 0, 1, 1.0, 0.5, -2.5, 1e22, 10**22, 2**60, 2**60 + 1, 1e300, True, False, None],
    *[
        "",
        "a",
        "b",
        "Ab",
        "ä",
        "Ä",
        "\U0001f600",
        "\uffff",
        "%",
        'q"\\',
        "\0",
        "a\0",
        "\1",
        "\ufffd",
    ],
    *["2024-01-02", "2024-01-02T10:00:00", "2024-01-02T12:00+02:00", "Straße"],
    *[[], ["a"], ["a", "b"], [["a"]], [1, [2]], [[3]], [None], [True], ["2024-01-02"]],
    *[{}, {"a": 1}, {"a": 1, "b": 2}, [{"a": 1, "b": 2}]],
]
METADATA = (
    [{}]
    + [{"x": value} for value in VALUES]
    + [{"x": a, "y": b} for a, b in zip(VALUES, VALUES[5:], strict=False)]
)
ODD = st.builds(
    lambda field, operator, value: {field: {operator: value}},
    st.sampled_from(["x", "y", 'q"\\', "a.b", "\0", "ä"]),
    st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]),
    st.sampled_from([v for v in VALUES if not isinstance(v, (list, dict)) and v is not None]),
)
EQUAL = st.builds(
    lambda field, operator, value: {field: {operator: value}},
    st.sampled_from("xy"),
    st.sampled_from(["$eq", "$ne"]),
    st.sampled_from(VALUES),
)
AMONG = st.builds(
    lambda operator, values: {"x": {operator: values}},
    st.sampled_from(["$in", "$nin"]),
    st.lists(st.sampled_from(VALUES), max_size=3),
)


@pytest.fixture(scope="module", params=["one", "two"])
def documents(
    request: pytest.FixtureRequest, on_one_server: MakeDocuments, on_two_servers: MakeDocuments
) -> PostgresDocuments:
    made = (on_one_server if request.param == "one" else on_two_servers)()
    made.commit([code(f"{n}", "One two", **m) for n, m in enumerate(METADATA)])
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(condition=st.one_of(FILTERS, ODD, EQUAL, AMONG, st.builds(lambda c: {"$not": c}, EQUAL)))
def test_like_the_filter_itself(documents: PostgresDocuments, condition: dict[str, Any]) -> None:
    passes = compile_filter(condition)
    expected = [str(n) for n, metadata in enumerate(METADATA) if passes(metadata)]
    assert documents.ids(condition) == expected


def test_what_sql_decides_alone() -> None:
    """Plain comparisons bring no metadata here; dates and pieces of text do."""
    for condition in (
        {"x": 1},
        {"x": {"$in": ["a", None, True]}, "y": {"$nin": [2.5]}},
        {"$or": [{"x": {"$gt": 3}}, {"$not": {"y": {"$lte": "b"}}}]},
        {"x": {"$exists": False}},
    ):
        assert sql_filter(condition).decide is None
    for condition in ({"x": {"$match": "a"}}, {"x": {"$date": "2024-01-02"}}, {"x": [1]}):
        assert sql_filter(condition).decide is not None


def test_a_filter_is_never_a_part_of_the_statement() -> None:
    nasty = "'; DROP TABLE documents; --"
    condition = sql_filter({nasty: {"$gte": nasty}, "$or": [{nasty: nasty}]})
    assert "DROP" not in condition.sql
    assert any(nasty in value for value in condition.values)
