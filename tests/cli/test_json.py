"""What --json prints is JSON that any reader takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3_retriever.cli.display import print_json

RECORDS: list[Any] = [
    {"source": "caf\udce9.txt"},
    {"caf\udce9": 1},
    {"deep": [{"a": ["\ud800", "\udfff"]}]},
    {"pair the wrong way round": "\udc00\ud800"},
    {"plain": "é 😀 \u2028"},
]


@pytest.mark.parametrize("record", RECORDS)
def test_surrogates_never_reach_the_output(
    record: dict[str, Any], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    print_json(record)
    text = capfdbinary.readouterr().out.decode("utf-8")
    json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
    assert not any("\ud800" <= c <= "\udfff" for c in text)
    assert "\\ud" not in text
