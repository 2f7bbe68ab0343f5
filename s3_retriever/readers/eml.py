"""Mails as mail programs save them: who wrote when to whom about what, and the text.

Python's own parser reads the parts. Attachments are named and not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Any

from s3_retriever.readers.base import Content, Reader, UnreadableError
from s3_retriever.readers.encodings import by_label
from s3_retriever.readers.html import page_content
from s3_retriever.readers.text import plain_content
from s3_retriever.readers.zipped import sound

__all__ = ["READER"]

_HEADERS = ("From", "To", "Cc", "Date", "Subject")


def _read(data: bytes) -> Content:
    with sound("mail"):
        message = message_from_bytes(data, policy=policy.default)
        if not isinstance(message, EmailMessage) or not any(map(message.get, _HEADERS)):
            raise UnreadableError("it is no mail: it begins with no From, To, Date or Subject")
        lines = [f"{name}: {said}" for name in _HEADERS if (said := _header(message, name))]
        if attached := list(_attached(message)):
            lines.append(f"Attachments (not read): {', '.join(attached)}")
        body = _body(message)
    text = "\n\n".join(filter(None, ["\n".join(lines), body.text.strip()]))
    return Content(text, _header(message, "Subject") or None, body.metadata, body.note)


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())


def _body(message: EmailMessage) -> Content:
    """The text that the sender wrote; the page only where there is no plain text."""
    part = message.get_body(("plain", "html"))
    if part is None:
        return Content("")
    content = _decoded(part)
    if part.get_content_type() != "text/html":
        return content
    page = page_content(content.text)
    return Content(page.text, None, content.metadata, content.note)


def _decoded(part: MIMEPart[Any, Any]) -> Content:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes) or not data.strip():
        return Content("")
    try:
        return Content(by_label(data, part.get_content_charset("utf-8")).replace("\r\n", "\n"))
    except (LookupError, UnicodeError):  # mails often say another encoding than they are in
        guessed = plain_content(data)
        text = guessed.text.replace("\r\n", "\n")
        return Content(text, None, guessed.metadata, guessed.note)


def _attached(message: EmailMessage) -> Iterator[str]:
    for part in message.iter_attachments():
        name = part.get_filename() or part.get_content_type()
        yield " ".join(name.split())


READER = Reader((".eml",), _read)
"""One mail a file."""
