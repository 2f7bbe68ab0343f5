"""Mails: headers, the text, the names of what is attached."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from s3_retriever.readers import read_files
from tests.readers.files import read_one, reason


def mail(text: str = "Dear Bo,\n\nthe mill is sold.\n", **more: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ann Lee <ann@example.org>"
    message["To"] = "Bo <bo@example.org>"
    message["Subject"] = "Die Mühle — sold"
    message["Date"] = "Mon, 23 Nov 2026 09:00:00 +0000"
    message["X-Spam-Score"] = "0"
    message.set_content(text, **more)
    return message


def write(tmp_path: Path, data: bytes | EmailMessage) -> Path:
    path = tmp_path / "a.eml"
    path.write_bytes(data if isinstance(data, bytes) else data.as_bytes())
    return path


HEAD = (
    "From: Ann Lee <ann@example.org>\nTo: Bo <bo@example.org>\n"
    "Date: Mon, 23 Nov 2026 09:00:00 +0000\nSubject: Die Mühle — sold"
)


def test_headers_and_text(tmp_path: Path) -> None:
    (document,) = read_files([write(tmp_path, mail())]).documents
    assert document.text == f"{HEAD}\n\nDear Bo,\n\nthe mill is sold."
    assert document.metadata["title"] == "Die Mühle — sold"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "koi8-r", "utf-16"])
def test_encodings(tmp_path: Path, charset: str) -> None:
    text = "Дом" if charset == "koi8-r" else "Grüße"
    message = mail()
    message.set_content(text.encode(charset), "text", "plain")
    message.set_param("charset", charset)
    assert read_one(write(tmp_path, message)).endswith(text)


def test_a_wrong_charset_is_a_guess_that_is_told(tmp_path: Path) -> None:
    message = mail()
    message.set_content("Grüße aus Köln".encode("latin-1"), "text", "plain")
    message.set_param("charset", "utf-8")
    files = read_files([write(tmp_path, message)])
    (document,) = files.documents
    assert document.text.endswith("Grüße aus Köln")
    assert document.metadata["encoding"] == "windows-1252" and files.notes


def test_plain_text_is_taken_before_the_page(tmp_path: Path) -> None:
    message = mail("Plain.")
    message.add_alternative("<p>Page.</p>", subtype="html")
    assert read_one(write(tmp_path, message)) == f"{HEAD}\n\nPlain."


def test_a_page_alone(tmp_path: Path) -> None:
    message = mail("<p>One</p><script>x()</script><p>Two</p>", subtype="html")
    assert read_one(write(tmp_path, message)) == f"{HEAD}\n\nOne\n\nTwo"


def test_attachments_are_named_and_not_read(tmp_path: Path) -> None:
    message = mail()
    message.add_attachment(b"secret", "application", "pdf", filename="Plan ä.pdf")
    message.add_attachment("more", filename="notes.txt")
    text = read_one(write(tmp_path, message))
    assert "\nAttachments (not read): Plan ä.pdf, notes.txt\n\nDear Bo" in text
    assert "secret" not in text and "more" not in text


def test_only_headers(tmp_path: Path) -> None:
    assert read_one(write(tmp_path, b"Subject: Hi\n\n")) == "Subject: Hi"


@pytest.mark.parametrize(
    "data", [b"no mail at all", b"\x00\x01\x02", b"\n\nFrom: x\n", b"a: b\n\nc"]
)
def test_no_mail(tmp_path: Path, data: bytes) -> None:
    assert "no mail" in reason(write(tmp_path, data))


def test_parts_inside_one_another(tmp_path: Path) -> None:
    parts = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(5000)
    )
    path = write(tmp_path, f"Subject: deep\n{parts}".encode())
    files = read_files([path])
    assert len(files.documents) + len(files.skipped) == 1


@pytest.mark.parametrize("cut", [50, 200, 400, 600])
def test_cut_off(tmp_path: Path, cut: int) -> None:
    message = mail()
    message.add_attachment(b"x" * 1000, "application", "pdf", filename="a.pdf")
    assert read_one(write(tmp_path, message.as_bytes()[:cut])).startswith("From: Ann")
