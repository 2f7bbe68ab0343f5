"""A headless Chromium for tests, told what to do over its own protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, " ": 32}
WRITTEN = {"Enter": "\r", " ": " "}


class Tab:
    """A page, and all that it asked for and complained about."""

    def __init__(self, connection: ClientConnection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._numbers = count(1)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol; what happens meanwhile is noted."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params, "sessionId": self._session}
        self._connection.send(json.dumps(message))
        while True:
            got = json.loads(self._connection.recv(timeout=60))
            if got.get("id") == number:
                assert "error" not in got, (method, got["error"])
                return got["result"]
            self._note(got)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def go(self, url: str) -> None:
        """Open a page and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        give_up = time.monotonic() + 120
        while not self.js(expression):
            assert time.monotonic() < give_up, (expression, self.complaints)
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Put text where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press and let go of a key."""
        given = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        written = {"text": WRITTEN[key]} if key in WRITTEN else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **given, **written)
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """What size and colours the page is seen in."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """What a person sees, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """A browser with one tab; ``folder`` keeps what it writes."""
    assert CHROMIUM is not None
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [
            CHROMIUM,
            "--headless",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-component-update",
            "--disable-background-networking",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            *sandbox,
            "about:blank",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        listening = (
            re.search(r"DevTools listening on (ws://\S+)", line) for line in process.stderr
        )
        address = next(filter(None, listening))[1]
        with connect(address, max_size=None, proxy=None) as connection:
            made = _browser_call(connection, "Target.createTarget", url="about:blank")
            session = _browser_call(
                connection, "Target.attachToTarget", targetId=made["targetId"], flatten=True
            )["sessionId"]
            yield Tab(connection, session)
            connection.send(json.dumps({"id": 0, "method": "Browser.close"}))
        process.wait(30)
    finally:
        process.kill()
        process.wait()


def _browser_call(connection: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    connection.send(json.dumps({"id": 0, "method": method, "params": params}))
    while (got := json.loads(connection.recv(timeout=60))).get("id") != 0:
        pass
    return got["result"]
