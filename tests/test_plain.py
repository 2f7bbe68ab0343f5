"""Values of other makes: each has one plain form, or is refused."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import pathlib
import subprocess
import sys
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import InputError
from s3_retriever.plain import plain_scalar
from s3_retriever.types import Document
from s3_retriever.validation import problem_of, stored, stored_metadata


class Colour(enum.Enum):
    RED = "red"
    SINCE = dt.date(1995, 5, 1)


class Field(str, enum.Enum):
    YEAR = "year"


class Moment:
    """A date of another library: it has nothing in common with ours but ISO 8601."""

    def isoformat(self) -> str:
        return "1995-05-01T10:00:00+00:00"


class NaTType(dt.datetime):
    """Not a time, as pandas has it: a datetime that equals nothing."""

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = dt.datetime.__hash__

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return "NaT"


class NAType:
    """Not available, as pandas has it: will not say what it equals."""

    def __ne__(self, other: object) -> Any:
        raise TypeError("boolean value of NA is ambiguous")


CONVERTED: dict[str, tuple[Any, Any]] = {
    "int64": (np.int64(1995), 1995),
    "uint8": (np.uint8(7), 7),
    "float32": (np.float32(0.5), 0.5),
    "longdouble": (np.longdouble(1.5), 1.5),
    "bool_": (np.True_, True),
    "str_": (np.str_("a"), "a"),
    "an array of no dimension": (np.array(3), 3),
    "decimal": (Decimal("19.95"), 19.95),
    "decimal integer": (Decimal("1995"), 1995),
    "fraction": (Fraction(1, 4), 0.25),
    "nan": (float("nan"), None),
    "numpy's nan": (np.float64("nan"), None),
    "decimal nan": (Decimal("sNaN"), None),
    "numpy's NaT": (np.datetime64("NaT"), None),
    "NaT": (NaTType(1, 1, 1), None),
    "NA": (NAType(), None),
    "date": (dt.date(1995, 5, 1), "1995-05-01"),
    "datetime": (dt.datetime(1995, 5, 1, 10, tzinfo=dt.timezone.utc), "1995-05-01T10:00:00+00:00"),
    "time": (dt.time(10, 30), "10:30:00"),
    "numpy's day": (np.datetime64("1995-05-01"), "1995-05-01"),
    "numpy's nanoseconds": (np.datetime64("1995-05-01T10", "ns"), "1995-05-01T10:00:00"),
    "another library's date": (Moment(), "1995-05-01T10:00:00+00:00"),
    "uuid": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "path": (pathlib.PurePosixPath("a/b.txt"), "a/b.txt"),
    "enum": (Colour.RED, "red"),
    "enum of dates": (Colour.SINCE, "1995-05-01"),
    "string enum": (Field.YEAR, "year"),
    "odd file name": ("caf\udce9.txt", "caf\\udce9.txt"),
}
REFUSED: dict[str, Any] = {
    "object": object(),
    "bytes": b"raw",
    "numpy's bytes": np.bytes_(b"raw"),
    "complex": 1j,
    "duration": dt.timedelta(days=1),
    "numpy's duration": np.timedelta64(1, "D"),
    "function": len,
    "class": dt.datetime,
    "generator": iter([1]),
    "a year that no calendar here has": np.datetime64("20000-01-01"),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_what_has_a_plain_form(name: str) -> None:
    given_value, wanted = CONVERTED[name]
    found = plain_scalar(given_value)
    assert found == wanted
    assert type(found) is type(wanted)
    metadata = stored_metadata({"field": given_value, "list": [given_value]})
    assert metadata == {"field": wanted, "list": [wanted]}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_none_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(InputError):
        plain_scalar(REFUSED[name])
    for metadata in ({"when": REFUSED[name]}, {"when": {"in": [1, REFUSED[name]]}}):
        with pytest.raises(InputError, match=r"field 'when.*stored as JSON"):
            stored_metadata(metadata)


@pytest.mark.parametrize(
    ("given_value", "wanted"),
    [
        (("a", "b"), ["a", "b"]),
        ({3, 10, 2}, [2, 3, 10]),
        (frozenset("ba"), ["a", "b"]),
        (deque([1, 2]), [1, 2]),
        (range(3), [0, 1, 2]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array(["1995-05-01"], "datetime64[ns]"), ["1995-05-01T00:00:00"]),
        (OrderedDict(b=1), {"b": 1}),
        (MappingProxyType({"b": (1,)}), {"b": [1]}),
        ({Field.YEAR: 1995}, {"year": 1995}),
        ({}, {}),
    ],
)
def test_what_holds_others(given_value: Any, wanted: Any) -> None:
    assert stored_metadata({"field": given_value}) == {"field": wanted}


def test_a_set_has_the_same_order_in_every_process() -> None:
    code = "from s3_retriever.validation import stored_metadata as s; "
    code += "print(s({'x': {'a', 'b', 'c', 1, None, (2, 'd')}}))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(seen) == 1


def nested(depth: int, inside: Any = 1) -> dict[str, Any]:
    value = inside
    for _ in range(depth):
        value = [value]
    return {"deep": value}


def shared(levels: int) -> dict[str, Any]:
    """Two to the power of ``levels`` values, in a few bytes."""
    value: Any = 1
    for _ in range(levels):
        value = [value, value]
    return {"many": value}


def circle() -> dict[str, Any]:
    value: list[Any] = []
    value.append(value)
    return {"circle": value}


class Endless(Mapping[str, int]):
    """A mapping that never ends."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        n = 0
        while True:
            n += 1
            yield f"field {n}"

    def __len__(self) -> int:
        return 1


LIMITS: dict[str, Any] = {
    "65 deep": nested(65),
    "600 deep": nested(600),
    "985 deep": nested(985),
    "deeper than the stack": nested(100_000),
    "mappings in each other": {"a": json.loads('{"a":' * 300 + "1" + "}" * 300)},
    "in itself": circle(),
    "two to the power of 40": shared(40),
    "a million characters": {"text": "x" * (1 << 20)},
    "a million fields": {str(n): n for n in range(1 << 18)},
    "no end": Endless(),
    "a name of a million characters": {"x" * (1 << 20): 1},
    "an integer of 641 digits": {"n": 10**640},
    "an integer that no process reads": {"n": 10**5000},
    "infinity": {"x": math.inf},
    "minus infinity, in a list": {"x": [-math.inf]},
    "a decimal beyond all floats": {"x": Decimal("1E+1000000000")},
    "a number for a name": {"n": {5: 1}},
    "a tuple for a name": {("a", "b"): 1},
    "no name": {None: 1},
    "one name twice": {"a\udce9": 1, "a\\udce9": 2},
    "no mapping": [("a", 1)],
    "nothing": None,
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_could_not_be_read_again_is_refused_before(name: str) -> None:
    reason = problem_of(Document("d", "text", LIMITS[name]))
    assert reason is not None
    assert "metadata" in reason
    assert len(reason) < 300


@pytest.mark.parametrize("doc_id", ["", "a\ud800", "x" * 4097, None, 7])
def test_ids_that_nobody_can_ask_for(doc_id: Any) -> None:
    assert problem_of(Document(doc_id, "text")) is not None


def test_up_to_the_limits() -> None:
    metadata = {**nested(63), "text": "x" * 1_000_000, "n": -(10**639)}
    assert stored(Document("x" * 4096, "text", metadata)).metadata == metadata


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), JSON))
def test_what_json_knows_stays_as_it_is(metadata: dict[str, Any]) -> None:
    kept = stored_metadata(metadata)
    assert kept == metadata
    assert json.dumps(kept) == json.dumps(metadata)
    assert stored_metadata(kept) == kept


def test_a_copy_is_stored() -> None:
    tags = ["a"]
    kept = stored_metadata({"tags": tags})
    tags.append("b")
    assert kept == {"tags": ["a"]}


def test_what_pandas_makes() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"year": [1995, None], "at": ["1995-05-01", None], "n": [1, 2]})
    frame["at"] = pandas.to_datetime(frame["at"])
    first, second = (stored_metadata(row) for row in frame.to_dict("records"))
    assert first == {"year": 1995.0, "at": "1995-05-01T00:00:00", "n": 1}
    assert second == {"year": None, "at": None, "n": 2}
    assert stored_metadata({"x": pandas.NA}) == {"x": None}
