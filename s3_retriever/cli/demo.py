"""``s3-retriever demo``: the whole of it, on documents that come with the package."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    console,
    legend,
    print_sources,
    print_table,
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
        typer.Option("--dir", help="Keep the index in this folder. Default: nothing is kept."),
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
    _say(
        f"{len(documents)} Wikipedia articles, {sum(len(d.text) for d in documents):,} characters. "
        "One small language model reads them once, finds the evidence for a question by what it "
        "would attend to, and answers. There is no embedding model."
    )
    with _place(folder) as index:
        engine = open_engine(index, profile, model, device, create=True)
        report, seconds = add_with_bar(engine, documents)
        console.print()
        outcomes = [
            _show_question(engine, question, f"Question {number} of {len(questions)}")
            for number, question in enumerate(questions, start=1)
        ]
        console.print(Rule(style="dim"))
        _show_comparison(outcomes, engine.documents.view.n_tokens)
    _say(f"{read_in(report, seconds)}.")
    _show_what_next(folder, f" --profile {profile}" if profile else "")


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """Where the index lies: if it is to be kept, in its folder, else until the end."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(
        prefix="s3-retriever-demo-",
        ignore_cleanup_errors=True,  # on Windows what is open stays
    ) as temporary:
        yield Path(temporary)


def _show_what_next(folder: Path | None, more: str) -> None:
    """Commands to go on with, on lines that are never broken: a broken path cannot be copied."""
    if folder is None:
        _say("The index is removed again. To keep one, or to read texts of your own:")
        commands = ["s3-retriever demo --dir my-demo"]
    else:
        console.print(Text(one_line(f"The index is in {folder}. Try:")), soft_wrap=True)
        commands = [
            f's3-retriever search "What lives in the river?" --index {folder}{more}',
            f's3-retriever ask "Which animals are dangerous to people?" --index {folder}{more}',
        ]
    for command in (*commands, f"s3-retriever index YOUR-FOLDER --index my-index{more}"):
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


@dataclass(frozen=True)
class _Outcome:
    """How one question went. Tokens are those of the spans, best first, up to the known answer."""

    question: str
    ours: int | None
    """``None``: the known answer is in none of the spans."""
    words: int | None
    """Of BM25 alone."""
    answered: bool
    """Whether the known answer is in what the model wrote."""
    ms: tuple[float, float]
    """To find the spans, ours and BM25's."""


def _show_question(engine: Engine, question: SampleQuestion, title: str) -> _Outcome:
    """Print spans, BM25's spans and the answer."""
    console.print(Rule(Text(title, "dim"), style="dim"))
    console.print(Text(question.question, "bold"))
    console.print(Text(f"The known answer: {question.answer}\n", "dim"))

    started = time.perf_counter()
    stream = engine.answer(
        question.question, max_tokens=_MAX_TOKENS, k=_MAX_SPANS, token_scores=True
    )
    between = time.perf_counter()
    by_words = engine.retrieve(question.question, max_tokens=_MAX_TOKENS, k=_MAX_SPANS, mode="bm25")
    ms = 1000 * (between - started), 1000 * (time.perf_counter() - between)

    def tokens_until_answer(spans: Sequence[Span]) -> int | None:
        n = 0
        for span in spans:
            n += engine.llm.count_tokens(span.text)
            if question.answered_by([span]):
                return n
        return None

    ours, words = tokens_until_answer(stream.spans), tokens_until_answer(by_words)
    columns = Table.grid(padding=(0, 1), expand=True)
    columns.add_column(ratio=1)
    columns.add_column(ratio=1)
    columns.add_row(
        _column(f"The model's attention, and words ({ms[0]:.0f} ms)", stream.spans, ours),
        _column(f"BM25: words alone ({ms[1]:.0f} ms)", by_words, words),
    )
    console.print(columns)
    console.print(legend())
    console.print()
    console.print(Text("The same model answers:", "dim"))
    stream_answer(stream)
    answer = stream.result()
    console.print()
    print_sources(answer)
    console.print()
    answered = question.answer.casefold() in answer.text.casefold()
    return _Outcome(question.question, ours, words, answered, ms)


def _show_comparison(outcomes: Sequence[_Outcome], n_tokens: int) -> None:
    """What the questions came to, side by side."""
    _say(
        f"Of {n_tokens:,} tokens of text, so many of evidence (at most {_MAX_TOKENS}) lead to the "
        "known answer, the best span first:"
    )
    console.print()

    def cell(tokens: int | None) -> str:
        return "not found" if tokens is None else f"{tokens} tokens"

    def found(tokens: Sequence[int | None]) -> str:
        return f"{sum(n is not None for n in tokens)} of {len(tokens)}"

    ours, words = [o.ours for o in outcomes], [o.words for o in outcomes]
    milliseconds = [f"{statistics.median(o.ms[n] for o in outcomes):.0f} ms" for n in (0, 1)]
    print_table(
        [
            ("attention, words", "BM25 alone", "the model wrote it", ""),
            *(
                (cell(o.ours), cell(o.words), "yes" if o.answered else "no", one_line(o.question))
                for o in outcomes
            ),
            (
                found(ours),
                found(words),
                f"{sum(o.answered for o in outcomes)} of {len(outcomes)}",
                "found, or written",
            ),
            (*milliseconds, "", "to find the spans (median)"),
        ]
    )
    console.print()
    _say(
        "BM25 looks for the question's words, and is hard to beat where the text has them; reading "
        "for meaning costs time and finds what is worded otherwise. These few questions were "
        "picked for a demo: the README has measurements."
    )


def _column(title: str, spans: Sequence[Span], tokens: int | None) -> Group:
    verdict = (
        Text("✓ holds the known answer", "green")
        if tokens is not None
        else Text("✗ does not hold the known answer", "red")
    )
    return Group(Text(title, "bold"), span_panels(spans), verdict)


def _say(message: str, style: str = "") -> None:
    console.print(Text(one_line(message), style))
