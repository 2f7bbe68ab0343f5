"""The page for people: what is served, and what it does in a browser, by keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import httpx
import pytest

from s3_retriever import Document, Engine
from s3_retriever.server.tokens import TokenRecord, Tokens
from tests.browser import CHROMIUM, Tab, chromium
from tests.server.conftest import Running, finished, serving

PAGE = (resources.files("s3_retriever.server") / "page.html").read_text("utf-8")
QUESTION = "When was the lighthouse finished?"
HOSTILE = (
    "She said 👩🏽‍🚀 hello 😀😀 to the mill. <img src=x onerror=alert(1)><script>alert(2)</script> "
    "The <b>mill</b> was built in 1780 🎉 by Anna. Then it ended."
)
browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


class Elements(HTMLParser):
    """All elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """Of a browser that is started once."""
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def own(small: Callable[[Path | None], Engine], tmp_path: Path) -> Iterator[Running]:
    """A server of its own, around one document that means no good."""
    engine = small(tmp_path / "index")
    engine.add([Document("../<i>mill</i>.txt", HOSTILE, {"title": "<b>Mill</b>", "year": 1780})])
    with serving(engine) as running:
        yield running


def _open(tab: Tab, server: Running) -> None:
    tab.look(1000, 900)
    tab.go(f"{server.url}/")
    tab.until("document.getElementById('info').textContent || $('problem').textContent")
    tab.complaints.clear()
    tab.requests.clear()


def _focus(tab: Tab) -> str:
    return tab.js("document.activeElement.id || document.activeElement.textContent")


def _ask(tab: Tab, question: str) -> None:
    tab.js("$('question').value = ''; $('question').focus()")
    tab.type(question)
    tab.press("Enter")
    tab.until("document.querySelectorAll('#spans > li').length && !$('found').hidden")
    tab.until("[...document.querySelectorAll('#spans button')].every((b) => !b.disabled)")


def test_it_is_open_to_anybody_and_runs_nothing_but_its_own_script(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.text == PAGE
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert len(re.findall("'sha256-[^']+'", policy)) == 2
    assert "/" not in client.get("/openapi.json").json()["paths"]
    for outside in ("http:", "https:", "//cdn", "@import", "url("):
        assert outside not in PAGE
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "localStorage",
    ):
        assert way not in PAGE


def test_it_is_labelled_and_has_no_code_in_attributes() -> None:
    elements = Elements(PAGE).found
    labels = {given["for"] for tag, given in elements if tag == "label"}
    ids = [given["id"] for _, given in elements if "id" in given]
    assert len(ids) == len(set(ids))
    for tag, given in elements:
        assert not any(name.startswith("on") or name == "style" for name in given)
        if tag in ("input", "select", "textarea"):
            assert given["id"] in labels
        for name in ("aria-labelledby", "list", "for"):
            assert given.get(name, ids[0]) in ids
        if tag == "a" and given["href"].startswith("#"):
            assert given["href"][1:] in ids
    assert elements[0] == ("html", {"lang": "en"})


def test_what_it_asks_is_described(client: httpx.Client) -> None:
    known = client.get("/openapi.json").json()["paths"]
    asked = {f"/{path}" for path in re.findall(r"[\"`](v1/[a-z/]+)", PAGE)}
    assert len(asked) >= 7
    for path in asked:
        assert path in known or f"{path}{{job_id}}" in known


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(scheme: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", PAGE, re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]+);", light if scheme == "light" else dark))

    def luminance(name: str) -> float:
        digits = colours[name] if len(colours[name]) == 6 else "".join(2 * d for d in colours[name])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for front, ground in [
        *(
            (front, ground)
            for front in ("ink", "faint", "accent")
            for ground in ("ground", "sheet")
        ),
        ("on-accent", "accent"),
        ("bad", "ground"),
    ]:
        low, high = sorted((luminance(front), luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (front, ground)


@browser
def test_spans_are_shown_in_their_documents_by_keyboard(tab: Tab, server: Running) -> None:
    _open(tab, server)
    tab.press("Tab")
    assert _focus(tab) == "Skip to the question"
    tab.press("Enter")
    tab.until("document.activeElement.id === 'question'")
    _ask(tab, QUESTION)
    assert re.fullmatch(r"\d+ spans? in \d documents?, \d+ ms", tab.js("$('status').textContent"))
    assert tab.js("$('status').getAttribute('role')") == "status"
    first = tab.js("document.querySelector('#spans .text').textContent")
    assert first.startswith("The lighthouse on Skerry Point was finished in 1887. Its lamp")
    assert tab.js("document.querySelector('#spans mark').textContent").endswith("1887.")
    shares = (
        "[...document.querySelectorAll('.token')].map((t) => t.style.getPropertyValue('--share'))"
    )
    assert max(map(float, tab.js(shares))) == 1
    legs = tab.js("document.querySelector('.legs').textContent")
    assert "bm25" in legs and "features" in legs
    while _focus(tab) != "In its document":  # reached by nothing but Tab
        tab.press("Tab")
        assert tab.js("document.activeElement !== document.body")
    tab.press("Enter")
    assert tab.js("$('document').open")
    text = server.engine.get("lighthouse").text
    assert tab.js("$('document-text').textContent") == text
    assert tab.js("document.activeElement.className") == "here"
    tab.press("Escape")
    assert not tab.js("$('document').open")
    assert _focus(tab) == "In its document"
    tab.press("Tab")
    tab.press("Enter")
    tab.until("!document.querySelector('.why').hidden")
    assert "feature" in tab.js("document.querySelector('.why').textContent")
    tab.press("Enter")
    assert tab.js("document.querySelector('.why').hidden")
    assert tab.js("document.activeElement.getAttribute('aria-expanded')") == "false"
    assert tab.complaints == []
    assert {url[: len(server.url)] for url in tab.requests} == {server.url}


@browser
def test_whatever_can_be_worked_has_a_name_that_is_read_out(tab: Tab, server: Running) -> None:
    _open(tab, server)
    _ask(tab, QUESTION)
    tab.js("for (const one of document.querySelectorAll('details')) one.open = true")
    tab.js("$('more').click()")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            name = node.get("name", {}).get("value", "")
            roles.setdefault(node["role"]["value"], []).append(name)
    worked = ("button", "textbox", "searchbox", "combobox", "spinbutton", "link")
    assert [role for role in worked for name in roles.get(role, []) if not name] == []
    assert len(roles["button"]) == len(set(roles["button"]))  # no two say the same
    assert roles["search"] and roles["main"] and len(roles["heading"]) > 3


@browser
def test_a_link_asks_a_question(tab: Tab, server: Running) -> None:
    tab.go("about:blank")
    tab.go(f"{server.url}/#question=What%20needs%20no%20yeast%3F")
    tab.until("document.querySelectorAll('#spans > li').length")
    assert tab.js("$('question').value") == "What needs no yeast?"
    assert "Sourdough" in tab.js("$('spans').textContent")
    assert not any("yeast" in url.partition("#")[0] for url in tab.requests)


@browser
def test_an_answer_is_streamed_and_its_citations_lead_to_their_sources(
    tab: Tab, server: Running
) -> None:
    _open(tab, server)
    tab.js("$('question').focus()")
    tab.type(QUESTION)
    tab.press("Tab")
    tab.press("Tab")
    assert _focus(tab) == "answer-it"
    tab.press(" ")
    tab.until("$('answer-text').getAttribute('aria-busy') === 'true'")
    tab.until("$('stop').hidden")
    assert "1887" in tab.js("$('answer-text').textContent")
    cited = tab.js("[...document.querySelectorAll('#spans > li.cited')].map((l) => l.id)")
    assert cited
    tab.js("document.querySelector('#citations a').focus()")
    tab.press("Enter")
    assert _focus(tab) == cited[0]
    assert "1887" in tab.js("document.activeElement.querySelector('mark').textContent")
    assert tab.complaints == []


@browser
def test_an_answer_is_stopped(tab: Tab, server: Running) -> None:
    _open(tab, server)
    tab.js("$('question').value = 'Count from one to a thousand.'; $('answer-it').click()")
    tab.until("$('answer-text').textContent")
    tab.js("$('stop').focus()")
    tab.press("Enter")
    tab.until("$('answer-text').getAttribute('aria-busy') === 'false'")
    assert tab.js("$('status').textContent") == "Stopped."
    tab.until("$('stop').hidden")
    assert _focus(tab) == "question"
    assert tab.js("$('problem').textContent") == ""


@browser
def test_nothing_in_a_document_is_run(tab: Tab, own: Running) -> None:
    _open(tab, own)
    _ask(tab, "When was the mill built?")
    texts = "[...document.querySelectorAll('#spans mark')].map((m) => m.textContent)"
    spans = own.engine.retrieve("When was the mill built?", max_tokens=512)
    assert tab.js(texts) == [span.text for span in spans]  # offsets count letters, emoji are one
    assert "<b>Mill</b>" in tab.js("document.querySelector('#spans h3').textContent")
    tab.js("document.querySelector('#spans button').click()")
    assert tab.js("$('document-text').textContent") == HOSTILE
    assert tab.js("document.querySelectorAll('#document img, #found img, #found b').length") == 0
    with pytest.raises(AssertionError, match="TrustedHTML"):
        tab.js("document.body.innerHTML = '<p>x'")
    assert {url[: len(own.url)] for url in tab.requests} == {own.url}


@browser
def test_filters_are_built_or_written(tab: Tab, own: Running) -> None:
    with own.client() as client:
        more = {"id": "new", "text": "A new mill stands there.", "metadata": {"year": 1990}}
        finished(client, client.post("/v1/documents", json={"documents": [more]}))
    _open(tab, own)
    tab.js("document.querySelector('#ask details').open = true; $('more').click()")
    assert tab.js("document.activeElement.getAttribute('aria-label')") == "Field"
    tab.type("year")
    tab.js("document.querySelector('.condition select').value = '$gte'")
    tab.js("document.querySelector('.condition > input + select + input').value = '1900'")
    _ask(tab, "Where is the mill?")
    titles = "[...document.querySelectorAll('#spans h3')].map((h) => h.textContent.slice(4))"
    assert set(tab.js(titles)) == {"new"}
    tab.js("document.querySelector('.condition button').click()")
    tab.js("$('raw').value = JSON.stringify({year: 1780})")
    _ask(tab, "Where is the mill?")
    assert set(tab.js(titles)) == {"<b>Mill</b>"}
    tab.js("$('raw').value = '{'; document.querySelector('#ask button').click()")
    tab.until("$('problem').textContent === 'The filter is not JSON.'")


@browser
def test_files_are_added_with_progress(tab: Tab, own: Running, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.pdf", tmp_path / "guide.txt"
    bad.write_bytes(b"%PDF-nothing")
    good.write_text("The keeper of the lighthouse was Agnes Tullis. " * 50)
    _open(tab, own)
    with own.engine.llm.lock:  # nothing is read until the bar was seen
        tab.js("$('adding').open = true")
        tab.choose("#files", bad, good)
        tab.js("document.querySelector('#upload button').click()")
        tab.until("document.querySelector('#jobs progress:not([hidden])')?.value === 0")
        assert "bad.pdf" in tab.js("$('jobs').textContent")
    tab.until("$('upload-status').textContent === 'guide.txt: added'")
    assert "broken PDF" in tab.js("$('jobs').textContent")
    assert own.engine.get("guide.txt").text == good.read_text()
    tab.until("$('info').textContent.includes('2 documents')")


@browser
def test_a_token_is_asked_for_and_forgotten_with_the_tab(
    tab: Tab, small: Callable[[Path | None], Engine], tmp_path: Path
) -> None:
    secret = "0123456789abcdef"
    tokens = Tokens([TokenRecord(name="a", token=secret, namespaces=("a", "b"), write=False)])
    engine = small(tmp_path / "index")
    engine.namespace("b").add([Document("x", "A text of the second space.")])
    with serving(engine, tokens=tokens) as guarded:
        _open(tab, guarded)
        assert tab.js("$('connection').open")
        assert tab.js("$('problem').textContent") == "This server asks for a token."
        tab.js("$('token').focus()")
        tab.type(secret)
        tab.press("Tab")
        tab.type("b")
        tab.press("Enter")
        tab.until("$('info').textContent.includes('1 document, ')")
        assert _focus(tab) == "question"
        assert tab.js("$('adding').hidden")  # this token may not write
        assert tab.js("sessionStorage.getItem('token')") == secret
        assert tab.js("localStorage.length") == 0 and not tab.js("document.cookie")
        assert secret not in tab.js("location.href")
        _ask(tab, "Which space?")
        assert not any(secret in url for url in tab.requests)


@browser
def test_it_is_light_or_dark_and_fits_a_narrow_screen(
    tab: Tab, server: Running, tmp_path: Path
) -> None:
    _open(tab, server)
    _ask(tab, QUESTION)
    grounds = []
    for dark in (False, True):
        tab.look(360, 700, dark=dark)
        assert tab.js("document.documentElement.scrollWidth") <= 360
        grounds.append(tab.js("getComputedStyle(document.body).backgroundColor"))
        tab.picture(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size > 5000
    assert grounds == ["rgb(246, 245, 241)", "rgb(20, 22, 26)"]
