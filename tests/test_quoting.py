"""What messages quote is short, printable and on one line, whatever was given and wherever."""

from __future__ import annotations

import ast
import io
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import EndogenousError, InputError, ServerError
from s3_retriever.paths import bound
from s3_retriever.profiles.cards import load_card
from s3_retriever.quoting import brief, one_line, quoted
from s3_retriever.readers import read_files
from s3_retriever.search.filters import compile_filter
from s3_retriever.server.failures import Failure, failure_response
from s3_retriever.storage.check import read_manifest
from s3_retriever.storage.folder import make_index_folder
from s3_retriever.storage.namespaces import check_namespace
from s3_retriever.types import Document
from s3_retriever.validation import stored_metadata, usable

LONGEST = 160

_ODD = st.sampled_from(
    [
        "\n",
        "\r\n",
        "\u2028",
        "\x85",
        "\x1b[2J",
        "\x00",
        "\ud800",
        "\udce9",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\u00ad",
        "\U000e0041",
        "\\",
        "'",
        '"',
        "%s",
        "{}",
        "[red]",
        "名",
        "🙂",
    ]
)
names = st.one_of(
    st.text(st.characters(), min_size=1, max_size=300),
    st.lists(st.one_of(_ODD, st.text(max_size=3)), min_size=1, max_size=40).map("".join),
    st.builds(lambda text, n: text * n, _ODD, st.integers(1, 5000)),
).filter(bool)


def is_fit(message: str, most: int) -> bool:
    """Short, and nothing in it that steers a terminal, ends a line or cannot be written."""
    message.encode()
    return message.isprintable() and len(message) <= most


class TestValues:
    @given(names)
    def test_any_text(self, name: str) -> None:
        assert is_fit(brief(name), LONGEST)
        assert brief(brief(name)) == brief(name)
        assert is_fit(quoted(name), 102)
        if name.isprintable() and len(name) <= LONGEST:
            assert brief(name) == name
            assert quoted(name) == f"'{name}'" or len(name) > 100

    @given(names)
    def test_the_beginning_and_the_end_are_seen(self, name: str) -> None:
        long = f"first{name}" + "x" * 200 + f"{name}last"
        assert brief(long).startswith("first")
        assert brief(long).endswith("last")

    @pytest.mark.parametrize(
        "value",
        [
            10**5000,
            b"\xff" * 9000,
            {"a": "\n" * 900},
            object(),
            Path("a\nb"),
            type("Odd", (), {"__repr__": lambda _: "a\nb\u202e" * 900})(),
            type("Mute", (), {"__repr__": lambda _: 1 / 0})(),
            type("Odd\nname", (), {"__repr__": lambda _: 1 / 0})(),
            type("Text", (str,), {"__str__": lambda _: "\n"})("\u202e"),
        ],
        ids=lambda value: type(value).__name__.encode("unicode_escape").decode(),
    )
    def test_any_value(self, value: Any) -> None:
        assert is_fit(brief(value), LONGEST)
        assert is_fit(quoted(value), LONGEST + 2)
        assert is_fit(one_line(value), 2000)

    def test_a_nest_of_lists(self) -> None:
        nest: list[Any] = []
        for _ in range(100_000):
            nest = [nest]
        assert is_fit(quoted(nest), LONGEST)

    @given(names)
    def test_errors_of_any_message(self, text: str) -> None:
        for error in (InputError(text), ServerError(text, status=500)):
            assert is_fit(str(error), 2000)
            assert str(pickle.loads(pickle.dumps(error))) == str(error)


def _refused(call: Callable[[], object]) -> list[str]:
    try:
        call()
    except EndogenousError as e:
        return [str(e)]
    return []


def _in_a_log(document: Document) -> None:
    usable([document, "a good one"], "skip")


MESSAGES: dict[str, Callable[[str, Path], list[str]]] = {
    "add": lambda name, _: _refused(lambda: usable([Document(name, "\x00")], "raise")),
    "log": lambda name, _: _refused(lambda: _in_a_log(Document(name, "\x00"))),
    "field": lambda name, _: _refused(lambda: stored_metadata({name: object()})),
    "field inside": lambda name, _: _refused(lambda: stored_metadata({name: {"a": {1: 2}}})),
    "namespace": lambda name, _: _refused(lambda: check_namespace(f"{name}!")),
    "path": lambda name, _: _refused(lambda: bound(name)),
    "operator": lambda name, _: _refused(lambda: compile_filter({"a": {f"${name}": 1}})),
    "filter's field": lambda name, _: _refused(lambda: compile_filter({name: {"$in": name}})),
    "folder": lambda name, at: _refused(lambda: read_manifest(bound(at / name))),
    "not empty": lambda name, at: _refused(lambda: make_index_folder(_full(at, name))),
    "profile": lambda name, _: _refused(lambda: load_card(f"/nowhere/{name}")),
    "on_error": lambda name, _: _refused(lambda: usable(["a"], name)),  # type: ignore[arg-type]
    "server": lambda name, _: _answered(name),
}


def _answered(name: str) -> list[str]:
    """What a client reads: JSON, which a client may print."""
    body = bytes(failure_response(None, Failure(400, f"about {name}")).body)
    return [json.loads(body)["error"]["message"]]


def _full(at: Path, name: str) -> Path:
    """A folder that is no index, and holds something of that name where the system takes it."""
    folder = at / "full"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    try:
        (folder / name.replace("/", "-")).touch()
    except (OSError, ValueError):
        (folder / "x").touch()
    return folder


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What the library logs meanwhile, in a stream that takes nothing but UTF-8."""
    raw = io.BytesIO()
    handler = logging.StreamHandler(io.TextIOWrapper(raw, "utf-8", write_through=True))
    logger = logging.getLogger("s3_retriever")
    logger.addHandler(handler)

    def lines() -> str:
        text = raw.getvalue().decode()
        raw.seek(0)
        raw.truncate()
        return text

    yield lines
    logger.removeHandler(handler)


@pytest.mark.parametrize("entry", MESSAGES)
def test_every_entry(
    entry: str, logged: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[object] = []
    monkeypatch.setattr(logging.Handler, "handleError", lambda *a: broken.append(a))

    @given(names)
    def every(name: str) -> None:
        for message in MESSAGES[entry](name, tmp_path):
            assert is_fit(message, 1000), message
        for line in logged().split("\n"):
            assert is_fit(line, 400), line
        assert not broken

    every()


def test_files_that_are_left_out(tmp_path: Path) -> None:
    for name in ("a\nb.txt", "\u202egpj.txt", "\udce9.txt", "\x1b[31m.txt"):
        (tmp_path / name).write_bytes(b"\x00\x01" * 100)
    skipped = read_files([tmp_path]).skipped
    assert len(skipped) == 4
    assert all(is_fit(reason, 400) for reason in skipped.values())


# ---------------------------------------------------------------------------------------------

_SAYING = ("Error", "BadParameter", "Failure", "warn", "echo", "_say", "waiting", "_fail")
_FROM_OUTSIDE = {"id", "doc_id", "path", "folder", "place", "namespace", "location", "filename"}


def _quoted_as_it_came(file: Path) -> Iterator[str]:
    """Where a file puts a value from outside into a message without a helper."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name in ("__repr__", "__getattr__"):
            for inner in ast.walk(node):  # names in code, as Python's own
                if isinstance(inner, ast.FormattedValue):
                    inner.conversion = -1
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
            yield f"{file}:{node.lineno}: {ast.unparse(node.value)}!r"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        logs = name.startswith("logger.")
        values = list(node.args[1:]) if logs else []
        if logs or name.endswith(_SAYING):
            parts = (part for argument in node.args for part in ast.walk(argument))
            values += [part.value for part in parts if isinstance(part, ast.FormattedValue)]
        for value in values:
            last = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
            if last in _FROM_OUTSIDE:
                yield f"{file}:{node.lineno}: {ast.unparse(value)}"


def test_no_message_quotes_anything_as_it_came() -> None:
    root = Path(__file__).parent.parent
    sources = [root / "s3_retriever", *(root / "integrations").glob("*/lang*")]
    sources += (root / "integrations").glob("*/llama*")
    files = [file for source in sources for file in source.rglob("*.py")]
    assert len(files) > 200
    wrong = [line for f in files if "testing" not in f.parts for line in _quoted_as_it_came(f)]
    assert not wrong, "use quoted() or brief() of s3_retriever.quoting:\n" + "\n".join(wrong)
