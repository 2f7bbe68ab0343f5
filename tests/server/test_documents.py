"""Documents over HTTP: added by jobs, replaced, changed, listed, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from s3_retriever import Engine
from tests.server.conftest import finished, serving


@pytest.fixture
def own(small: Callable[[Path | None], Engine], tmp_path: Path) -> Iterator[httpx.Client]:
    """An empty server of its own."""
    with serving(small(tmp_path / "index")) as running, running.client() as client:
        yield client


def _add(client: httpx.Client, *documents: object, **others: object) -> dict:
    body = {"documents": list(documents), **others}
    return finished(client, client.post("/v1/documents", json=body))


def test_documents_are_added_replaced_and_left_alone(own: httpx.Client) -> None:
    cats = {"id": "cats", "text": "Cats sleep.", "metadata": {"n": 1, "deep": {"er": [None, 1.5]}}}
    job = _add(own, cats, "Dogs bark.")
    assert job["state"] == "done"
    assert job["report"]["added"][0] == "cats"
    assert job["report"]["ids"] == job["report"]["added"]
    assert job["characters_read"] == job["characters"] == 21
    assert own.get("/v1/documents/cats").json() == cats
    again = _add(own, cats, {"id": "dogs", "text": "Dogs bark at cats."})
    assert again["report"]["unchanged"] == ["cats"]
    other = finished(own, own.put("/v1/documents/cats", json={"text": "Cats purr."}))
    assert other["report"]["updated"] == ["cats"]
    assert own.get("/v1/documents/cats").json()["text"] == "Cats purr."


def test_what_cannot_be_kept_is_skipped_or_fails_the_job(own: httpx.Client) -> None:
    blank = {"id": "blank", "text": " "}
    good = {"id": "good", "text": "Good."}
    job = _add(own, blank, good)
    assert (job["report"]["added"], list(job["report"]["skipped"])) == (["good"], ["blank"])
    failed = _add(own, blank, {"id": "more", "text": "More."}, on_error="raise")
    assert failed["state"] == "failed"
    assert "white space" in failed["error"]
    assert own.get("/v1/documents/more").status_code == 404
    assert own.put("/v1/documents/x", json={"text": "a\x00b"}).status_code == 422


def test_documents_are_listed_by_pages_and_filters(own: httpx.Client) -> None:
    given = [{"id": f"d{n}", "text": f"Text {n}.", "metadata": {"odd": n % 2}} for n in range(7)]
    _add(own, *given)
    found, after = [], None
    while True:
        page = own.get("/v1/documents", params={"limit": 3, **({"after": after} if after else {})})
        body = page.json()
        assert body["total"] == 7
        found += body["documents"]
        after = body["next"]
        if after is None:
            break
    assert found == [{"id": d["id"], "metadata": d["metadata"]} for d in given]
    odd = own.get("/v1/documents", params={"filter": json.dumps({"odd": 1})}).json()
    assert [d["id"] for d in odd["documents"]] == ["d1", "d3", "d5"]
    assert own.get("/v1/documents", params={"after": "gone"}).status_code == 409
    for wrong in ("{", "1", "[" * 2000, '{"$no": 1}'):
        assert own.get("/v1/documents", params={"filter": wrong}).status_code in (400, 422)


def test_documents_are_got_changed_and_deleted(own: httpx.Client) -> None:
    _add(own, *({"id": i, "text": f"Text {i}.", "metadata": {"id": i}} for i in "abcd"))
    got = own.post("/v1/documents/get", json={"ids": ["c", "none", "a"]}).json()["documents"]
    assert [d["id"] for d in got] == ["c", "a"]
    changed = own.patch("/v1/documents", json={"metadata": {"a": {"new": True}, "none": {}}})
    assert changed.json() == {"n": 1}
    assert own.get("/v1/documents/a").json()["metadata"] == {"new": True}
    assert own.post("/v1/documents/delete", json={"ids": ["a", "none"]}).json() == {"n": 1}
    assert own.post("/v1/documents/delete", json={"filter": {"id": "b"}}).json() == {"n": 1}
    assert own.delete("/v1/documents/c").json() == {"n": 1}
    assert own.delete("/v1/documents/c").status_code == 404
    assert own.post("/v1/documents/delete", json={"filter": {}}).status_code == 400
    assert own.post("/v1/documents/delete", json={}).status_code == 422
    assert [d["id"] for d in own.get("/v1/documents").json()["documents"]] == ["d"]


def test_an_id_is_a_name_and_no_path(own: httpx.Client, tmp_path: Path) -> None:
    ids = ["a/b/c.txt", "../../etc/passwd", "C:\\x", "%2e%2e", "naïve ?#&", "/", "nl\n", "jobs"]
    _add(own, *({"id": i, "text": f"The text of {i!r}."} for i in ids))
    got = own.post("/v1/documents/get", json={"ids": ids}).json()["documents"]
    assert [d["id"] for d in got] == ids
    raw = own.get("/v1/documents/%2e%2e%2f%2e%2e%2fetc%2fpasswd")
    assert raw.json()["text"] == "The text of '../../etc/passwd'."
    assert own.get("/v1/documents/..%2f..%2fmanifest.json").status_code == 404
    assert {path.name for path in tmp_path.iterdir()} == {"index"}


def test_files_are_read_under_their_bare_names(own: httpx.Client, tmp_path: Path) -> None:
    files = [
        ("files", ("notes/../../start.md", b"# Start\n\nThe mill is old.")),
        ("files", ("page.html", b"<title>A page</title><p>Flour is white.")),
    ]
    job = finished(own, own.post("/v1/files", files=files))
    assert job["report"]["added"] == ["start.md", "page.html"]
    assert own.get("/v1/documents/start.md").json()["metadata"] == {"title": "Start"}
    assert {path.name for path in tmp_path.iterdir()} == {"index"}
    for name, data in [("empty.txt", b""), ("bad.pdf", b"%PDF-nothing"), ("..", b"text")]:
        response = own.post("/v1/files", files=[("files", (name, data))])
        assert response.status_code == 422, name
    assert own.post("/v1/files", data={"files": "no file"}).status_code == 422


def test_a_namespace_is_made_by_the_first_document(own: httpx.Client) -> None:
    _add(own, {"id": "x", "text": "In team a."}, namespace="team-a")
    assert own.get("/v1/documents/x").status_code == 404
    assert own.get("/v1/documents/x", params={"namespace": "team-a"}).status_code == 200
    assert own.get("/v1/info").json()["namespaces"] == ["team-a"]
    for wrong in ("../x", "A", "", "con"):
        body = {"documents": ["text"], "namespace": wrong}
        response = own.post("/v1/documents", json=body)
        assert response.status_code == 422 or finished(own, response)["state"] == "failed"
