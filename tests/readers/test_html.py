"""HTML becomes the text that a browser shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever.readers import read_files
from tests.readers.files import read_one, reason


def html(tmp_path: Path, markup: str | bytes) -> str:
    path = tmp_path / "page.html"
    path.write_bytes(markup.encode() if isinstance(markup, str) else markup)
    return read_one(path)


def test_blocks_are_lines_and_inline_tags_are_not(tmp_path: Path) -> None:
    text = html(
        tmp_path,
        """<!doctype html><title>The page</title><h1>One\n  heading</h1>
        <p>In <b>bo</b>ld and <i>it</i><a href="x">alic</a>.<br>Next   line</p>
        <ul><li>first<li>second</ul><div><div>deep</div>tail</div>after""",
    )
    blocks = text.split("\n\n")
    assert blocks[:2] == ["One heading", "In bold and italic.\nNext line"]
    assert blocks[2:] == ["first\nsecond", "deep", "tail", "after"]


def test_what_a_reader_does_not_see_is_dropped(tmp_path: Path) -> None:
    text = html(
        tmp_path,
        "<head><style>p{}</style></head>a<script>b()</script><!-- c --><noscript>d</noscript>"
        "<svg><text>e</text></svg><template>f</template> g",
    )
    assert text == "a g"


def test_tables_are_rows_of_cells(tmp_path: Path) -> None:
    text = html(tmp_path, "<table><tr><th>a</th><th>b</th></tr><tr><td>1<td> 2 </table>")
    assert text == "a | b\n1 | 2"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (
            "<caption>Prices</caption><thead><tr><th rowspan=2>Year<th colspan=2>Price</tr>"
            "<tr><th>low<th>high</tr></thead><tbody><tr><td>2019<td>1<td>2</tbody>",
            "Prices\nYear | Price\nYear | low | high\n2019 | 1 | 2",
        ),
        ("<tr><td colspan=2>a<td>b<tr><td>1<td>2<td>3", "a |  | b\n1 | 2 | 3"),
        (
            "<tr><td rowspan=3>2019<td>Q1<td>5<tr><td>Q2<td>6<tr><td>Q3<td>7<tr><td>2020<td>Q1",
            "2019 | Q1 | 5\n2019 | Q2 | 6\n2019 | Q3 | 7\n2020 | Q1",
        ),
        ("<tr><td><p>a</p></td> <td><div><p>b</p></div></td></tr>", "a | b"),
        ("<tr><td>a<br>b<td><ul><li>c<li>d</ul>", "a b | c d"),
        ("<tr>\n <td>a</td>\n <td>b</td>\n </tr>\n <tr>\n <td>c</td></tr>", "a | b\nc"),
        ("<tr><td></td><td>b</td></tr><tr><td> </td></tr>", "| b"),
        ("<tr><td><pre>def f():\n    x</pre><td>b", "def f():\n    x\n\nb"),
        ("<tr><td>a<td><table><tr><td>1<td>2<tr><td>3<td>4</table><td>b", "a\n\n1 | 2\n3 | 4\n\nb"),
        ("<tr><td colspan=x rowspan=-1>a<td colspan=0 rowspan=0>b<tr><td>c", "a | b\nc"),
        ("a<tr><td>b</tr>c<tr><td>d", "a\nb\nc\nd"),
    ],
)
def test_what_a_table_says_stays_in_its_rows(tmp_path: Path, table: str, text: str) -> None:
    assert html(tmp_path, f"<p>x<table>{table}</table><p>y") == f"x\n\n{text}\n\ny"


@pytest.mark.parametrize(
    "table",
    [
        "<tr><td rowspan=60000>" + "x" * 10_000 + "<td>a" + "<tr><td>b" * 5000,
        "<tr>" + "<td>" * 5000 + "<td rowspan=60000>x" + "<tr><td>b" * 5000,
        "<tr><td colspan=1000>a<td>b" * 5000,
        "<tr><td rowspan=60000>x" + "<tr></tr>" * 10_000,
        "<tr>" + "<td rowspan=60000>x" * 3000 + "<tr><td>b" * 3000,
    ],
)
def test_a_table_that_claims_to_be_huge(tmp_path: Path, table: str) -> None:
    assert len(html(tmp_path, f"<table>{table}</table>")) < 12 * len(table)


def test_tables_inside_one_another(tmp_path: Path) -> None:
    assert html(tmp_path, "<table><tr><td>" * 3000 + "core") == "core"


def test_preformatted_text_keeps_its_spaces(tmp_path: Path) -> None:
    text = html(tmp_path, "<p>x</p><pre>\n  def f():\n\n    pass\n</pre><p>y</p>")
    assert text == "x\n\n  def f():\n\n    pass\n\ny"


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("<title> The\n page </title><h1>h</h1>", "The page"),
        ("<h1>Only <b>h1</b></h1>x", "Only h1"),
        ("x", "page.html"),
    ],
)
def test_title(tmp_path: Path, markup: str, title: str) -> None:
    html(tmp_path, markup)
    (document,) = read_files([tmp_path / "page.html"]).documents
    assert document.metadata["title"] == title


def test_a_declared_encoding_is_used_where_it_is_not_utf_8(tmp_path: Path) -> None:
    markup = '<meta charset="iso-8859-1"><p>Grüße</p>'
    assert html(tmp_path, markup.encode("latin-1")) == "Grüße"
    assert html(tmp_path, "<p>Grüße</p>".encode("utf-16")) == "Grüße"


@pytest.mark.parametrize("charset", [b"utf-8", b"no-such-code", b"hex"])
def test_a_wrong_declaration_is_said(tmp_path: Path, charset: bytes) -> None:
    path = tmp_path / "page.htm"
    path.write_bytes(b'<meta charset="' + charset + b'"><p>Gr\xfc\xdfe</p>')
    assert "encoding it declares" in reason(path)


def test_only_scripts(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<script>app()</script>")
    assert "no text" in reason(path)


def test_end_tags_that_html_lets_one_leave_out(tmp_path: Path) -> None:
    assert html(tmp_path, "<html><head><title>t</title><body><p>one<p>two") == "one\n\ntwo"


def test_deep_nesting(tmp_path: Path) -> None:
    assert html(tmp_path, "<div>" * 5000 + "core") == "core"


def test_ten_thousand_tags_inside_one_another(tmp_path: Path) -> None:
    assert html(tmp_path, "<div><b>" * 5000 + "core") == "core"


def test_a_definition_and_its_term_are_two_lines(tmp_path: Path) -> None:
    assert html(tmp_path, "<dl><dt>Lamp<dd>It burns oil.</dl>") == "Lamp\nIt burns oil."
    text = html(tmp_path, "<details><summary>More</summary>It is old.</details>")
    assert text == "More\nIt is old."


def test_prose_in_two_columns_is_read_one_column_after_the_other(tmp_path: Path) -> None:
    text = html(
        tmp_path,
        "<table><tr><td><p>The lamp burned oil.<p>It was old.</td>"
        "<td><p>The bakery opened.<p>It closed.</td></tr></table>",
    )
    assert text.split("\n\n") == [
        "The lamp burned oil.",
        "It was old.",
        "The bakery opened.",
        "It closed.",
    ]


def test_entities_and_spaces_that_do_not_break(tmp_path: Path) -> None:
    markup = "<p>a &amp; b &lt;c&gt; 5&nbsp;km &#x1F600; &eacute;</p>"
    assert html(tmp_path, markup) == "a & b <c> 5\xa0km 😀 é"


def test_a_long_cell_does_not_widen_the_others(tmp_path: Path) -> None:
    rows = "<tr><td>a</td><td>b</td></tr>" * 100
    text = html(tmp_path, f"<table><tr><td>{'word ' * 100}</td><td>x</td></tr>{rows}</table>")
    assert text.endswith("\na | b\na | b")
    assert len(text) < 1200
