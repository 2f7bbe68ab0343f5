"""A process of its own, spoken to over its standard input and output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.mcp_server.conftest import QUESTION, TEXTS, connected, content, refusal

_COMMAND = [sys.executable, "-m", "s3_retriever", "mcp", "--index"]


def test_a_session_that_begins_with_no_index(tmp_path: Path) -> None:
    parameters = StdioServerParameters(
        command=_COMMAND[0],
        args=[*_COMMAND[1:], str(tmp_path / "new"), "--allow-add"],
        env=dict(os.environ),
    )
    with (tmp_path / "log").open("w") as log, connected(stdio_client(parameters, log)) as session:
        assert session.get("list")["total"] == 0
        first = session.get("add", text=TEXTS["lighthouse"], id="lighthouse")
        assert first["status"] == "added"
        calls: list[tuple[str, dict[str, Any]]] = [
            ("search", {"question": QUESTION, "mode": "fast", "max_tokens": 40}),
            ("add", {"text": "Comet Hargreave returns every 41 years.", "id": "comet"}),
            ("read", {"id": "lighthouse"}),
            ("read", {"id": "../../etc/passwd"}),
            ("search", {"question": ""}),
        ]
        found, added, read, *wrong = session.together(calls)
        for span in content(found)["spans"]:
            if span["doc_id"] == "lighthouse":
                assert TEXTS["lighthouse"][span["start"] : span["end"]] == span["text"]
        assert "1887" in " ".join(span["text"] for span in content(found)["spans"])
        assert content(added)["status"] == "added"
        assert content(read)["text"] == TEXTS["lighthouse"]
        assert all(map(refusal, wrong))
        spans = session.get("search", question="When does Hargreave return?", mode="fast")["spans"]
        assert spans[0]["doc_id"] == "comet"
    logged = (tmp_path / "log").read_text()
    assert "Traceback" not in logged
    assert "Hargreave" not in logged
    assert QUESTION not in logged


def test_standard_output_is_the_protocols_alone(own_index: Path) -> None:
    noisy = (
        "import sys, warnings, s3_retriever.storage.view as view\n"
        "from s3_retriever.cli import main\n"
        "before = view.View.document_ids\n"
        "def noise(self, filter=None):\n"
        "    print('printed'); sys.__stdout__.flush(); warnings.warn('warned')\n"
        "    import subprocess; subprocess.run(['echo', 'by a child'])\n"
        "    return before(self, filter)\n"
        "view.View.document_ids = noise\n"
        "main()"
    )
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    lines: list[str] = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        "this is no JSON",
        '{"jsonrpc": "2.0", "id": 2, "method": "no/such"}',
        '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "read", '
        '"arguments": {"id": "\\ud800"}}}',
        "[" * 100_000,
        json.dumps({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "list"}}),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", noisy, *_COMMAND[3:], str(own_index)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        answers: dict[int, dict[str, Any]] = {}
        process.stdin.write("".join(f"{line}\n" for line in lines))
        process.stdin.flush()
        while 4 not in answers:
            record = json.loads(process.stdout.readline())
            assert record["jsonrpc"] == "2.0"
            answers[record["id"]] = record
        process.send_signal(signal.SIGINT)  # standard input is still open
        assert process.stdout.read() == ""
        logged = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert answers[1]["result"]["serverInfo"]["name"] == "s3-retriever"
    assert "error" in answers[2]
    assert answers[4]["result"]["structuredContent"]["total"] == 3
    for words in ("printed", "warned", "by a child"):
        assert words in logged


def test_the_package_that_is_missing_is_named() -> None:
    code = (
        "import sys; sys.modules['mcp'] = None\n"
        "from s3_retriever.cli import main\n"
        "sys.argv[1:] = ['mcp', '--index', 'x']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'pip install "s3-retriever[mcp]"' in done.stderr
    assert done.stdout == ""
