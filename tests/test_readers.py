"""Files become documents exactly, or are left out for a reason that says what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever.readers import FilesRead, read_files

BOM = b"\xef\xbb\xbf"


def read_one(path: Path) -> str:
    """The text of the only document."""
    (document,) = read_files([path]).documents
    return document.text


def reason(path: Path) -> str:
    """Why the only file was left out."""
    files = read_files([path])
    assert not files.documents
    assert list(files.skipped) == [str(path)]
    return files.skipped[str(path)]


def html(tmp_path: Path, markup: str | bytes) -> str:
    path = tmp_path / "page.html"
    path.write_bytes(markup.encode() if isinstance(markup, str) else markup)
    return read_one(path)


def pdf_bytes(*pages: str, trailer: str = "") -> bytes:
    """A PDF with a line of text on each page, written by hand."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        drawing = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing))
    out = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\n".encode()
    return out + b"startxref\n%d\n%%%%EOF\n" % start


# any text that is not blank: CRLF, emoji, combining marks, a byte order mark inside
LINES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
        st.sampled_from(
            ["\r\n", "\n", "\r", "👩🏽‍🚀", "🇩🇪", "e\u0301", "\u2028", "\ufeff", "中文。"]
        ),
    ),
    max_size=20,
)
TEXTS = LINES.map("".join).filter(lambda t: bool(t.strip("\ufeff").strip()))


class TestPlainText:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(text=TEXTS, suffix=st.sampled_from([".txt", ".text", ".md", ".markdown", ".rst"]))
    def test_text_behind_a_byte_order_mark_is_kept_exactly(
        self, tmp_path: Path, text: str, suffix: str
    ) -> None:
        path = tmp_path / f"file{suffix}"
        path.write_bytes(BOM + text.encode())
        assert read_one(path) == text

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(text=TEXTS.filter(lambda t: not t.startswith("\ufeff")))
    def test_text_without_one_is_kept_exactly(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "file.txt"
        path.write_bytes(text.encode())
        assert read_one(path) == text

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.binary(min_size=1))
    def test_any_bytes_give_a_document_or_a_reason(self, tmp_path: Path, data: bytes) -> None:
        for suffix in (".txt", ".html", ".bin"):
            path = tmp_path / f"file{suffix}"
            path.write_bytes(data)
            files = read_files([path])
            assert len(files.documents) + len(files.skipped) == 1

    def test_latin_1_is_refused_with_the_command_that_converts_it(self, tmp_path: Path) -> None:
        path = tmp_path / "old.txt"
        path.write_bytes("Grüße".encode("latin-1"))
        assert "byte 2 is 0xfc" in reason(path)
        assert "iconv" in reason(path)

    def test_utf_16_is_recognised(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_bytes("Hello".encode("utf-16"))
        assert "UTF-16" in reason(path)

    @pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x00\x80", b"plain\x00then not"])
    def test_a_binary_file_is_named_as_one(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "program.txt"
        path.write_bytes(data)
        assert "binary" in reason(path)

    def test_nothing_and_white_space_are_told_apart(self, tmp_path: Path) -> None:
        empty, blank = tmp_path / "empty.txt", tmp_path / "blank.txt"
        empty.write_bytes(b"")
        blank.write_bytes(b" \r\n\t")
        assert reason(empty) == "it is empty"
        assert "white space" in reason(blank)

    @pytest.mark.parametrize(
        ("name", "text", "title"),
        [
            ("a.md", "Intro.\n\n## The *first* one ##\n\n# Second\n", "The *first* one"),
            ("a.md", "```sh\n# a comment\n```\n# Real\n", "Real"),
            ("a.md", "Over two lines\n==============\n", "Over two lines"),
            ("a.rst", "=====\nGuide\n=====\n\nText.\n", "Guide"),
            ("a.rst", "Guide\n-----\n", "Guide"),
            ("a.txt", "No heading here.\n", "a.txt"),
            ("a.md", "#hashtag\n", "a.md"),
        ],
    )
    def test_title(self, tmp_path: Path, name: str, text: str, title: str) -> None:
        (tmp_path / name).write_text(text)
        (document,) = read_files([tmp_path / name]).documents
        assert document.metadata["title"] == title
        assert document.metadata["path"] == str(tmp_path / name)


class TestFolders:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        for name in ("b.md", "a.TXT", "sub/deep/c.rst", "sub/logo.png", "data.csv", ".git/d.txt"):
            path = tmp_path / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Text of {name}.")
        return tmp_path / "tree"

    def test_known_kinds_by_their_path_below_the_folder(self, tree: Path) -> None:
        files = read_files([tree])
        assert [d.id for d in files.documents] == ["a.TXT", "b.md", "sub/deep/c.rst"]
        assert files.passed_over == 2
        assert not files.skipped

    def test_a_file_given_by_name_is_read_whatever_its_suffix(self, tree: Path) -> None:
        files = read_files([tree / "data.csv", tree / "sub" / "logo.png"])
        assert [d.id for d in files.documents] == ["data.csv", "logo.png"]

    def test_a_file_given_twice_is_read_once(self, tree: Path) -> None:
        files = read_files([tree, tree / "b.md", str(tree / "sub" / ".." / "b.md")])
        assert [d.id for d in files.documents] == ["a.TXT", "b.md", "sub/deep/c.rst"]

    def test_ids_that_would_be_the_same_get_parent_folders(self, tmp_path: Path) -> None:
        for name in ("x/docs/readme.md", "y/docs/readme.md", "y/docs/other.md"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        roots = [tmp_path / "x" / "docs", tmp_path / "y" / "docs"]
        ids = {d.text: d.id for d in read_files(roots).documents}
        assert ids == {
            "x/docs/readme.md": "x/docs/readme.md",
            "y/docs/readme.md": "y/docs/readme.md",
            "y/docs/other.md": "other.md",
        }
        assert ids == {d.text: d.id for d in read_files(roots[::-1]).documents}

    def test_links_out_of_the_folder_are_not_followed(self, tree: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret.txt"
        secret.write_text("outside")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "e.txt").write_text("outside too")
        (tree / "link.txt").symlink_to(secret)
        (tree / "folder").symlink_to(tmp_path / "other")
        (tree / "inside.txt").symlink_to(tree / "b.md")
        files = read_files([tree])
        assert [d.id for d in files.documents] == [
            "a.TXT",
            "b.md",
            "inside.txt",
            "sub/deep/c.rst",
        ]
        assert set(files.skipped) == {str(tree / "link.txt"), str(tree / "folder")}
        assert all("leads out" in why for why in files.skipped.values())

    def test_links_in_a_circle_and_to_nowhere(self, tree: Path) -> None:
        (tree / "loop.txt").symlink_to(tree / "loop.txt")
        (tree / "gone.txt").symlink_to(tree / "never.txt")
        (tree / "up").symlink_to(tree)
        files = read_files([tree])
        assert len(files.documents) == 3
        assert set(files.skipped) == {str(tree / "loop.txt"), str(tree / "gone.txt")}

    def test_a_pipe_is_not_waited_for(self, tree: Path) -> None:
        os.mkfifo(tree / "pipe.txt")
        files = read_files([tree])
        assert "neither a file" in files.skipped[str(tree / "pipe.txt")]

    def test_a_name_that_is_not_utf_8(self, tree: Path) -> None:
        Path(os.fsdecode(os.fsencode(tree) + b"/caf\xe9.txt")).write_text("odd name")
        (document,) = (d for d in read_files([tree]).documents if d.text == "odd name")
        assert document.id == "caf\\udce9.txt"
        document.metadata["path"].encode()

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        files = read_files([tmp_path / "none", "a\0b"])
        assert files.skipped[str(tmp_path / "none")] == "there is no such file or folder"
        assert len(files.skipped) == 2

    def test_an_empty_folder_and_no_path_at_all(self, tmp_path: Path) -> None:
        assert read_files([tmp_path]) == read_files([]) == FilesRead((), {}, 0)


class TestHtml:
    def test_blocks_are_lines_and_inline_tags_are_not(self, tmp_path: Path) -> None:
        text = html(
            tmp_path,
            """<!doctype html><title>The page</title><h1>One\n  heading</h1>
            <p>In <b>bo</b>ld and <i>it</i><a href="x">alic</a>.<br>Next   line</p>
            <ul><li>first<li>second</ul><div><div>deep</div>tail</div>after""",
        )
        blocks = text.split("\n\n")
        assert blocks[:2] == ["One heading", "In bold and italic.\nNext line"]
        assert blocks[2:] == ["first\nsecond", "deep", "tail", "after"]

    def test_what_a_reader_does_not_see_is_dropped(self, tmp_path: Path) -> None:
        text = html(
            tmp_path,
            "<head><style>p{}</style></head>a<script>b()</script><!-- c --><noscript>d</noscript>"
            "<svg><text>e</text></svg><template>f</template> g",
        )
        assert text == "a g"

    def test_tables_are_rows_of_cells(self, tmp_path: Path) -> None:
        text = html(tmp_path, "<table><tr><th>a</th><th>b</th></tr><tr><td>1<td> 2 </table>")
        assert text == "a\tb\n1\t2"

    def test_preformatted_text_keeps_its_spaces(self, tmp_path: Path) -> None:
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
    def test_title(self, tmp_path: Path, markup: str, title: str) -> None:
        html(tmp_path, markup)
        (document,) = read_files([tmp_path / "page.html"]).documents
        assert document.metadata["title"] == title

    def test_a_declared_encoding_is_used_where_it_is_not_utf_8(self, tmp_path: Path) -> None:
        markup = '<meta charset="iso-8859-1"><p>Grüße</p>'
        assert html(tmp_path, markup.encode("latin-1")) == "Grüße"
        assert html(tmp_path, "<p>Grüße</p>".encode("utf-16")) == "Grüße"

    @pytest.mark.parametrize("charset", [b"utf-8", b"no-such-code", b"hex"])
    def test_a_wrong_declaration_is_said(self, tmp_path: Path, charset: bytes) -> None:
        path = tmp_path / "page.htm"
        path.write_bytes(b'<meta charset="' + charset + b'"><p>Gr\xfc\xdfe</p>')
        assert "encoding it declares" in reason(path)

    def test_no_declaration_and_no_utf_8(self, tmp_path: Path) -> None:
        path = tmp_path / "page.htm"
        path.write_bytes(b"<p>Gr\xfc\xdfe</p>")
        assert "not UTF-8" in reason(path)

    def test_only_scripts(self, tmp_path: Path) -> None:
        path = tmp_path / "page.html"
        path.write_text("<script>app()</script>")
        assert "no text" in reason(path)

    def test_end_tags_that_html_lets_one_leave_out(self, tmp_path: Path) -> None:
        assert html(tmp_path, "<html><head><title>t</title><body><p>one<p>two") == "one\n\ntwo"

    def test_deep_nesting(self, tmp_path: Path) -> None:
        assert html(tmp_path, "<div>" * 5000 + "core") == "core"


class TestPdf:
    def test_pages_stand_apart(self, tmp_path: Path) -> None:
        path = tmp_path / "two.pdf"
        path.write_bytes(pdf_bytes("First page.", "Second page."))
        (document,) = read_files([path]).documents
        assert document.text == "First page.\n\nSecond page."
        assert document.metadata["title"] == "two.pdf"

    def test_its_title(self, tmp_path: Path) -> None:
        path = tmp_path / "titled.pdf"
        plain = tmp_path / "plain.pdf"
        plain.write_bytes(pdf_bytes("Text."))
        writer = pypdf.PdfWriter(clone_from=plain)
        writer.add_metadata({"/Title": "The title"})
        writer.write(path)
        (document,) = read_files([path]).documents
        assert document.metadata["title"] == "The title"

    def test_encrypted(self, tmp_path: Path) -> None:
        plain, path = tmp_path / "plain.pdf", tmp_path / "secret.pdf"
        plain.write_bytes(pdf_bytes("Secret."))
        writer = pypdf.PdfWriter(clone_from=plain)
        writer.encrypt("password", algorithm="RC4-128")
        writer.write(path)
        assert "encrypted" in reason(path)

    def test_encrypted_in_a_way_that_needs_another_package(self, tmp_path: Path) -> None:
        path = tmp_path / "secret.pdf"
        bytes_of = {"O": 48, "U": 48, "OE": 32, "UE": 32, "Perms": 16}
        strings = " ".join(f"/{name} <{'00' * n}>" for name, n in bytes_of.items())
        aes = (
            f"/Encrypt << /Filter /Standard /V 5 /R 6 /Length 256 /P -4 {strings} /StmF /StdCF "
            "/StrF /StdCF /CF << /StdCF << /AuthEvent /DocOpen /CFM /AESV3 /Length 32 >> >> >> "
            "/ID [<00> <00>]"
        )
        path.write_bytes(pdf_bytes("Secret.", trailer=aes))
        assert "encrypted" in reason(path)

    @pytest.mark.parametrize("data", [b"no pdf", b"%PDF-1.4\n%%EOF", pdf_bytes("x")[:200]])
    def test_broken(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "broken.pdf"
        path.write_bytes(data)
        assert "broken PDF" in reason(path)

    def test_only_pictures(self, tmp_path: Path) -> None:
        path = tmp_path / "scan.pdf"
        path.write_bytes(pdf_bytes(""))
        assert "OCR" in reason(path)

    def test_a_good_file_beside_a_broken_one(self, tmp_path: Path) -> None:
        (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
        (tmp_path / "good.txt").write_text("Good.")
        files = read_files([tmp_path])
        assert [d.id for d in files.documents] == ["good.txt"]
        assert list(files.skipped) == [str(tmp_path / "broken.pdf")]
