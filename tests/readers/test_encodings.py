"""Pages and texts in every encoding that the web knows."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from s3_retriever.readers import read_files
from tests.readers.files import read_one, reason

RUSSIAN = "Дома стоят у порта, и все они белые."
SAID = {
    "windows-1252": ("cp1252", "He said “yes” — it’s fine and costs 5 €."),
    "windows-1251": ("cp1251", RUSSIAN),
    "koi8-r": ("koi8-r", RUSSIAN),
    "Shift_JIS": ("cp932", "東京は日本の首都である。ガスの匂いがする①。"),
    "euc-jp": ("euc-jp", "東京は日本の首都である。ガスの匂いがする。"),
    "gb18030": ("gb18030", "北京是中国的首都,有很多人住在那里。"),
    "Big5": ("big5", "台北是台灣的首都,有很多人住在那裡。"),
    "euc-kr": ("cp949", "서울은 대한민국의 수도이다. 많은 사람이 산다."),
    "windows-1253": ("cp1253", "Τα σπίτια είναι κοντά στο λιμάνι και είναι όλα άσπρα."),
    "windows-1250": ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. Domy stojí u přístavu."),
    "windows-1254": ("cp1254", "Evlerin hepsi limana yakın ve çok beyaz, değil mi? Şehir güzel."),
    "windows-1255": ("cp1255", "שלום עולם, הבתים קרובים לנמל והם לבנים."),
    "windows-1256": ("cp1256", "البيوت قريبة من الميناء وهي بيضاء"),
    "windows-874": ("cp874", "ภาษาไทยเป็นภาษาที่มีระดับเสียง"),
}


def page(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "page.html"
    path.write_bytes(data)
    return read_one(path)


@pytest.mark.parametrize("label", SAID)
@pytest.mark.parametrize("form", ['<meta charset="{}">', '<?xml version="1.0" encoding="{}"?>'])
def test_a_declared_encoding(tmp_path: Path, label: str, form: str) -> None:
    codec, text = SAID[label]
    assert page(tmp_path, f"{form.format(label)}<p>{text}</p>".encode(codec)) == text


@pytest.mark.parametrize("label", SAID)
def test_an_encoding_that_nothing_declares(tmp_path: Path, label: str) -> None:
    codec, text = SAID[label]
    assert page(tmp_path, f"<p>{text}</p>".encode(codec)) == text


@pytest.mark.parametrize("word", ["Grüße", "café", "El niño comió piña", "“quoted”", "5 €"])
def test_western_words_that_nothing_declares(tmp_path: Path, word: str) -> None:
    assert page(tmp_path, f"<p>{word}</p>".encode("cp1252")) == word


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("iso-8859-1", "cp1252", "“€”"),
        ("ISO_8859-1", "cp1252", "“€”"),
        ("latin1", "cp1252", "it’s"),
        ("us-ascii", "cp1252", "it’s"),
        ("x-user-defined", "cp1252", "é"),
        ("iso-8859-9", "cp1254", "“ğ”"),
        ("latin5", "cp1254", "“ğ”"),
        ("tis-620", "cp874", "“ไทย”"),
        ("iso-8859-11", "cp874", "ไทย…"),
        ("gb2312", "gbk", "朱镕基"),
        ("gbk", "gb18030", "㐀"),
        ("big5", "big5hkscs", "着"),
        ("shift-jis", "cp932", "①～"),
        ("x-sjis", "cp932", "㈱"),
        ("windows-31j", "cp932", "髙"),
        ("ks_c_5601-1987", "cp949", "똠방각하"),
        ("euc-kr", "cp949", "펲시"),
        ("iso-2022-jp", "iso2022_jp", "東京"),
        ("x-mac-roman", "mac_roman", "é"),
        ("macintosh", "mac_roman", "é"),
        ("x-mac-cyrillic", "mac_cyrillic", "Дом"),
        ("iso-8859-8-i", "iso8859_8", "שלום"),
        ("logical", "iso8859_8", "שלום"),
        ("iso-8859-2", "iso8859_2", "žluť"),
        ("iso-8859-15", "iso8859_15", "5 €"),
        ("koi8-u", "koi8_u", "їжак"),
        ("ibm866", "cp866", "Дом"),
        ("x-cp1251", "cp1251", "Дом"),
        ("unicode-1-1-utf-8", "utf-8", "é"),
        ("UTF-16", "utf-8", "é"),
        (" windows-1252 ", "cp1252", "’"),
    ],
)
def test_a_label_means_what_it_means_to_browsers(
    tmp_path: Path, label: str, codec: str, text: str
) -> None:
    assert page(tmp_path, f'<meta charset="{label}"><p>{text}</p>'.encode(codec)) == text


def test_bytes_that_windows_left_undefined_are_controls(tmp_path: Path) -> None:
    assert page(tmp_path, b'<meta charset="latin1"><p>\xe9\x81\x9d \xe9</p>') == "é\x81\x9d é"


@pytest.mark.parametrize(
    "label", ["utf-7", "hex", "rot13", "unicode_escape", "idna", "mbcs", "a\0b", "../x", "é"]
)
def test_what_is_no_encoding_of_the_web_is_refused(tmp_path: Path, label: str) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(f'<meta charset="{label}"><p>é</p>'.encode("latin-1"))
    assert "encoding it declares" in reason(path)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8"])
@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
def test_a_byte_order_mark_says_it(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"notes{suffix}"
    path.write_bytes("\ufeff".encode(codec) + "Grüße 😀 東京".encode(codec))
    assert read_one(path) == "Grüße 😀 東京"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_a_page_of_two_bytes_a_letter(tmp_path: Path, codec: str) -> None:
    assert page(tmp_path, "<p>Grüße</p>".encode(codec)) == "Grüße"


def test_a_mark_before_something_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(codecs.BOM_UTF16_LE + b"odd")
    assert read_files([path]).documents == ()


@pytest.mark.parametrize("tail", [b"\xc3", b"\xff", b"\xe2\x80"])
def test_utf_8_that_is_broken_is_not_taken_for_something_else(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "page.html"
    path.write_bytes("<p>Grüße aus Köln, schöne Straßen</p>".encode() + tail)
    assert "not UTF-8" in reason(path)


def test_the_hint_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes("Grüße aus Köln, schöne Straßen".encode() + b"\x92")
    assert "iconv -f WINDOWS-1252" in reason(path)
    assert "ISO-8859-1" not in reason(path)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\n# a comment\ntitle: x\n---\n\n# Real\n", "Real"),
        ("---\r\n# a comment\r\ntags: [a]\r\n...\r\n# Real\r\n", "Real"),
        ("+++\n# a comment\ntitle = 'x'\n+++\n# Real\n", "Real"),
        ("---\n# one\n# two\n---\nGuide\n=====\n", "Guide"),
        ("---\na: |\n  # not this\n---\nNo heading.\n", "a.md"),
        ("---\n" + "# long\n" * 900 + "---\n# Real\n", "Real"),
        ("---\n\n# Real\n\nText.\n\n---\n", "Real"),
        ("---\n# Real, as nothing closes it\n", "Real, as nothing closes it"),
        ("````\n```\n# code\n````\n# Real\n", "Real"),
        ("~~~\n```\n# code\n~~~\n# Real\n", "Real"),
    ],
)
def test_a_comment_in_front_matter_is_no_title(tmp_path: Path, text: str, title: str) -> None:
    (tmp_path / "a.md").write_bytes(text.encode())
    (document,) = read_files([tmp_path / "a.md"]).documents
    assert document.metadata["title"] == title
