"""``s3-retriever demo``: the whole of it, on documents that come with the package."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from s3_retriever.cli.display import (
    answer_sources,
    console,
    legend,
    span_panels,
    stream_answer,
)
from s3_retriever.cli.index import add_with_bar, read_in
from s3_retriever.cli.opening import open_engine
from s3_retriever.cli.options import DeviceOption, ModelOption, ProfileOption
from s3_retriever.quoting import one_line
from s3_retriever.readers import read_files
from s3_retriever.types import Document, Span

if TYPE_CHECKING:
    from s3_retriever.engine import Engine

__all__ = ["SampleQuestion", "demo", "sample_documents", "sample_questions", "sample_text"]

_MAX_TOKENS, _MAX_SPANS = 160, 3
"""Limits of the evidence for one question, for either method."""


@dataclass(frozen=True)
class SampleQuestion:
    """A question about the shipped documents."""

    question: str
    answer: str
    """As it stands in the text."""
    document: str
    """The file that holds it."""

    def answered_by(self, spans: Sequence[Span]) -> bool:
        """Whether the answer stands in one of the spans."""
        return any(self.answer.casefold() in span.text.casefold() for span in spans)


def demo(
    quick: Annotated[bool, typer.Option(help="Two documents and two questions only.")] = False,
    folder: Annotated[
        Optional[Path],
        typer.Option("--dir", help="Folder of the index. Default: a new temporary one."),
    ] = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Read shipped articles, find the evidence for questions, and answer them."""
    questions = sample_questions()
    documents = sample_documents()
    if quick:
        questions = questions[:2]
        documents = [d for d in documents if d.id in {q.document for q in questions}]
    index = folder or Path(tempfile.mkdtemp(prefix="s3-retriever-demo-"))
    _say(
        f"{len(documents)} Wikipedia articles, {sum(len(d.text) for d in documents):,} characters. "
        "One small language model reads them once, finds the evidence for a question by what it "
        "would attend to, and answers. There is no embedding model."
    )
    engine = open_engine(index, profile, model, device, create=True)
    report, seconds = add_with_bar(engine, documents)
    console.print()
    hits = [
        _show_question(engine, question, f"Question {number} of {len(questions)}")
        for number, question in enumerate(questions, start=1)
    ]
    console.print(Rule(style="dim"))
    ours, words = (sum(column) for column in zip(*hits, strict=True))
    _say(
        f"The known answer stood in the spans of {ours} of {len(hits)} questions; with BM25 alone, "
        f"{words} of {len(hits)}. These few were picked for a demo; the README has measurements."
    )
    # On a line of its own that is never broken: a broken path cannot be copied.
    where = f"The index is in {index}; {read_in(report, seconds)}. Try:"
    console.print(Text(one_line(where)), soft_wrap=True)
    more = f" --profile {profile}" if profile else ""
    for command in (
        f's3-retriever search "What lives in the river?" --index {index}{more}',
        f's3-retriever ask "Which animals are dangerous to people?" --index {index}{more}',
        f"s3-retriever index YOUR-FOLDER --index my-index{more}",
    ):
        console.print(Text(f"  {command}", "bold"), soft_wrap=True)


def sample_documents() -> list[Document]:
    """The articles that come with the package."""
    return list(read_files(sorted(_samples().glob("*.txt")), root=_samples()).documents)


def sample_text() -> str:
    """All of them as one text."""
    return "\n\n".join(document.text for document in sample_documents())


def sample_questions() -> list[SampleQuestion]:
    """The questions that come with the sample documents."""
    records = json.loads((_samples() / "questions.json").read_text(encoding="utf-8"))
    return [SampleQuestion(**record) for record in records]


def _samples() -> Path:
    return Path(str(resources.files("s3_retriever"))) / "data" / "samples"


def _show_question(engine: Engine, question: SampleQuestion, title: str) -> tuple[bool, bool]:
    """Print spans, BM25's spans and the answer; returns who found the known answer."""
    console.print(Rule(Text(title, "dim"), style="dim"))
    console.print(Text(question.question, "bold"))
    console.print(Text(f"The known answer: {question.answer}\n", "dim"))

    started = time.perf_counter()
    stream = engine.answer(
        question.question, max_tokens=_MAX_TOKENS, k=_MAX_SPANS, token_scores=True
    )
    ms = 1000 * (time.perf_counter() - started)
    by_words = engine.retrieve(question.question, max_tokens=_MAX_TOKENS, k=_MAX_SPANS, mode="bm25")

    found = question.answered_by(stream.spans), question.answered_by(by_words)
    columns = Table.grid(padding=(0, 1), expand=True)
    columns.add_column(ratio=1)
    columns.add_column(ratio=1)
    columns.add_row(
        _column(f"The model's attention, and words ({ms:.0f} ms)", stream.spans, found[0]),
        _column("BM25: words alone", by_words, found[1]),
    )
    console.print(columns)
    console.print(legend())
    console.print()
    console.print(Text("The same model answers:", "dim"))
    stream_answer(stream)
    console.print()
    console.print(answer_sources(stream.result()))
    console.print()
    return found


def _column(title: str, spans: Sequence[Span], has_answer: bool) -> Group:
    verdict = (
        Text("✓ holds the known answer", "green")
        if has_answer
        else Text("✗ does not hold the known answer", "red")
    )
    return Group(Text(title, "bold"), span_panels(spans), verdict)


def _say(message: str, style: str = "") -> None:
    console.print(Text(one_line(message), style))
