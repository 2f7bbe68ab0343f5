"""One file read alone, and small PDFs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from s3_retriever.readers import read_files


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


def rezipped(
    data: bytes,
    new: Mapping[str, str] | None = None,
    changed: Mapping[str, tuple[str, str]] | None = None,
) -> bytes:
    """An archive with members of other contents, or with a piece of them replaced."""
    new, changed, out = dict(new or {}), dict(changed or {}), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            text = new.pop(name, None)
            content = source.read(name) if text is None else text.encode()
            if name in changed:
                old, replacement = changed[name]
                assert old.encode() in content
                content = content.replace(old.encode(), replacement.encode())
            target.writestr(name, content)
        for name, text in new.items():
            target.writestr(name, text)
    return out.getvalue()
