"""Time and words of this library's readers beside markitdown's, on files made here.

    pip install "s3-retriever[files]" matplotlib "markitdown[docx,pptx,pdf]"
    python examples/measure_readers.py

Seconds of processor time, the best of three after one that is not counted.
"""

from __future__ import annotations

import io
import random
import re
import textwrap
import time
from collections import Counter
from collections.abc import Callable

import docx
import matplotlib
import pptx
from pptx.util import Inches

from s3_retriever.readers.files import read_content

matplotlib.use("pdf")

WORDS = ("the", "mill", "harbour", "old", "stone", "wheel", "water", "was", "built", "price")


def prose(n: int) -> str:
    """A sentence of so many words."""
    return " ".join(random.choices(WORDS, k=n)).capitalize() + "."  # noqa: S311


def word() -> bytes:
    """Forty chapters of paragraphs, items and a table."""
    document = docx.Document()
    for chapter in range(40):
        document.add_heading(f"Chapter {chapter}", 1)
        for _ in range(8):
            document.add_paragraph(prose(60))
        for _ in range(4):
            document.add_paragraph(prose(8), style="List Bullet")
        for row in document.add_table(10, 4).rows:
            for cell in row.cells:
                cell.text = prose(3)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def slides() -> bytes:
    """Sixty slides with notes, a table on each fifth."""
    show = pptx.Presentation()
    for number in range(60):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = "\n".join(prose(12) for _ in range(5))
        slide.notes_slide.notes_text_frame.text = prose(30)
        if number % 5 == 0:
            place = [Inches(n) for n in (1, 1, 4, 2)]
            for row in slide.shapes.add_table(4, 4, *place).table.rows:
                for cell in row.cells:
                    cell.text = prose(2)
    file = io.BytesIO()
    show.save(file)
    return file.getvalue()


def page() -> bytes:
    """Sixty parts of paragraphs and a table."""
    row = "<tr>" + "<td>{}</td>" * 4 + "</tr>"
    parts = []
    for number in range(60):
        rows = (row.format(*(prose(3) for _ in range(4))) for _ in range(10))
        text = "".join(f"<p>{prose(60)}</p>" for _ in range(8))
        parts.append(f"<h2>Part {number}</h2>{text}<table>{''.join(rows)}</table>")
    return f"<!doctype html><title>Mill</title>{''.join(parts)}".encode()


def pdf() -> bytes:
    """Forty pages of 400 words."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_pdf import PdfPages

    file = io.BytesIO()
    with PdfPages(file) as pages:
        for _ in range(40):
            figure = plt.figure(figsize=(8, 11))
            text = "\n".join(textwrap.wrap(prose(400), 80))
            figure.text(0.1, 0.95, text, va="top", fontsize=9)
            pages.savefig(figure)
            plt.close(figure)
    return file.getvalue()


def timed(read: Callable[[], str]) -> tuple[str, float]:
    """A text, and the seconds that it took."""
    text, seconds = read(), []
    for _ in range(3):
        started = time.process_time()
        read()
        seconds.append(time.process_time() - started)
    return text, min(seconds)


def main() -> None:
    """Print a line a file."""
    from markitdown import MarkItDown, StreamInfo

    other = MarkItDown()
    random.seed(0)
    for suffix, make in {".docx": word, ".pptx": slides, ".html": page, ".pdf": pdf}.items():
        data, info = make(), StreamInfo(extension=suffix)
        own, seconds = timed(lambda d=data, s=suffix: read_content(d, s).text)
        their, more = timed(
            lambda d=data, i=info: other.convert_stream(io.BytesIO(d), stream_info=i).text_content
        )
        words, others = (Counter(re.findall(r"\w+", text)) for text in (own, their))
        print(
            f"{suffix}: {seconds:.2f} s, markitdown {more:.2f} s; {words.total():,} words, "
            f"{(words - others).total()} only here, {(others - words).total()} only there"
        )


if __name__ == "__main__":
    main()
