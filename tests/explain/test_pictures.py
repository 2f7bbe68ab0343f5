"""HTML, the density curve and the page of sources."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from s3_retriever import Document, Engine, Span, TokenScore
from s3_retriever.errors import InputError
from s3_retriever.generation.answer import answer_messages
from s3_retriever.html import page_html, result_html, span_html
from tests.browser import CHROMIUM

QUESTION = "When was the lighthouse finished?"


class Page(HTMLParser):
    """The text of a page, and that of each element with an id."""

    def __init__(self, source):
        super().__init__()
        self.text = ""
        self.by_id = {}
        self.classes = {}
        self._open = []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self._open.append(dict(attrs).get("id"))
            if self._open[-1]:
                self.classes[self._open[-1]] = dict(attrs).get("class")

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        if self.lasttag != "style" or (self._open and self._open[-1] is not None):
            self.text += data
        for name in filter(None, self._open):
            self.by_id[name] = self.by_id.get(name, "") + data


def test_a_heatmap_keeps_the_text_and_its_offsets():
    text = 'a <b> & "c" é'
    tokens = (TokenScore(10, 11, 0.5), TokenScore(12, 15, 1.0), TokenScore(15, 23, -1.0))
    html = span_html(Span("x<y", 10, 23, text, 1.0, {"bm25": 2.0}, 0, {}, tokens))
    assert "<b>" not in html
    assert text in Page(html).text
    shades = re.findall(r"rgba\(255,140,0,([\d.]+)\)\" title=\"(\d+-\d+)", html)
    assert shades == [("0.50", "10-11"), ("1.00", "12-15"), ("0.00", "15-23")]


def test_the_spans_of_a_result_share_a_scale_and_spaces_stay_white():
    first = Span("a", 0, 8, "a volume", 2.0, {}, 0, {}, (TokenScore(1, 8, 4.0),))
    second = Span("a", 9, 12, "The", 1.0, {}, 1, {}, (TokenScore(9, 12, 1.0),))
    html = result_html("?", [first, second])
    assert re.findall(r"rgba\(255,140,0,([\d.]+)\)[^>]*>([^<]+)", html) == [
        ("1.00", "volume"),
        ("0.25", "The"),
    ]


def test_results_show_themselves(engine):
    found = engine.retrieve(QUESTION, token_scores=True, k=2)
    html = found._repr_html_()
    assert QUESTION in html
    text = engine.get("lighthouse").text
    words = [t for span in found for t in span.tokens if text[t.start : t.end].strip()]
    assert html.count("rgba(") == len(words) > 10
    assert all(span.text in Page(html).text for span in found)
    assert found[0].text in Page(found[0]._repr_html_()).text
    why = engine.explain(QUESTION, found[0])
    assert why.features[0].examples[0].text in Page(why._repr_html_()).text
    assert "Nothing was found" in result_html("?", [])


def test_citations_lead_back_to_their_sources(engine, tmp_path):
    answer = engine.answer(QUESTION, max_tokens=128, max_new_tokens=24).result()
    assert answer.citations
    path = engine.retrieve(QUESTION, max_tokens=128).to_html(tmp_path / "page.html", answer)
    page = Page(path.read_text(encoding="utf-8"))
    assert answer.text in page.text
    for span in answer.spans:
        assert page.by_id[span.id] == span.text
        assert page.classes[span.id] == ("cited" if span in answer.citations else None)
    links = re.findall(r'href="#([^"]+)"', path.read_text(encoding="utf-8"))
    assert links == [span.id for span in answer.citations]


def test_a_page_without_an_answer(engine, tmp_path):
    found = engine.retrieve(QUESTION, k=3)
    page = Page(found.to_html(tmp_path / "page.html").read_text(encoding="utf-8"))
    assert set(page.by_id) == {span.id for span in found}


def test_hostile_texts_stay_text():
    text = "<script>alert(1)</script>"
    span = Span('"><script>', 0, len(text), text, 1.0, {}, 0)
    page = page_html("<i>?", "<b>", {span.doc_id: text}, [span], [span])
    assert "<script>" not in page
    assert "<i>?" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_browser_shows_the_page(engine, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    answer = engine.answer(QUESTION, max_tokens=128, max_new_tokens=24).result()
    cited = {span.id for span in answer.citations}
    assert cited < {span.id for span in answer.spans}  # both colours are there
    page = engine.retrieve(QUESTION).to_html(tmp_path / "page.html", answer)
    shot = tmp_path / "page.png"
    subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=900,600",
            f"--screenshot={shot}",
            f"{page.as_uri()}#{answer.citations[0].id}",
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    pixels = image.imread(shot)[..., :3]
    for colour in (0xFF, 0xE0, 0x8A), (0x9B, 0xE3, 0xA4):  # a span that was read, one cited
        marked = abs(pixels - [value / 255 for value in colour]).max(axis=-1) < 0.01
        assert marked.sum() > 1000


class TestPlot:
    @pytest.fixture(autouse=True)
    def _matplotlib(self):
        pytest.importorskip("matplotlib")

    def test_the_curve_peaks_and_spans_are_drawn(self, engine):
        found = engine.retrieve(QUESTION, k=1)

        def words_shared(question, sentences):
            return [len(set(question.split()) & set(s.split())) for s in sentences]

        figure = found.plot(dense=words_shared, dense_name="shared words")
        axes, other = figure.axes
        curve, peaks = axes.lines
        _, entry = engine.index.snapshot.live["lighthouse"]
        assert len(curve.get_xdata()) == entry.n_tokens
        assert set(peaks.get_xdata()) <= set(curve.get_xdata())
        top = peaks.get_xdata()[0]
        assert top == curve.get_xdata()[curve.get_ydata().argmax()]
        assert len(axes.patches) == 1
        assert len(other.lines) == 4
        assert other.get_ylabel() == "shared words"
        assert figure._repr_png_().startswith(b"\x89PNG")

    def test_what_cannot_be_drawn(self, engine):
        empty = engine.retrieve(QUESTION, filter={"kind": "none"})
        with pytest.raises(InputError, match="name the document"):
            empty.plot()
        with pytest.raises(InputError, match="no document"):
            empty.plot("gone")


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "s3_retriever.explain.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r'pip install "s3-retriever\[plot\]"'):
        importlib.import_module("s3_retriever.explain.plot")


def test_a_result_is_a_list(engine):
    found = engine.retrieve(QUESTION, k=2)
    assert isinstance(found, list)
    assert found == list(found)
    assert engine.retrieve(QUESTION, filter={"kind": "none"}) == []
    assert isinstance(engine.select(QUESTION, ["It was finished in 1887."])[0], Span)


def test_an_answers_budget_is_counted_in_its_template(engine):
    asked = engine.answer(QUESTION, max_tokens=80)
    bare = f"Using the text above, answer in one sentence: {QUESTION}"
    without = len(engine.llm.chat_ids([{"role": "user", "content": bare}]))

    def cost(spans):
        return len(engine.llm.chat_ids(answer_messages(QUESTION, spans))) - without

    found = engine.retrieve(QUESTION, max_tokens=80)
    assert list(asked.spans) == found[: len(asked.spans)]
    assert cost(asked.spans) <= 80 < cost(found[: len(asked.spans) + 1])


def test_documents_of_another_index_do_not_leak(engine):
    other = Engine(engine.llm, engine.profile)
    other.add([Document("lighthouse", "Another text altogether, finished in 1900.")])
    found = other.retrieve(QUESTION, k=1)
    assert "1900" in Page(found._repr_html_()).text
