"""``s3-retriever ask``: an answer from the spans, with its sources."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from s3_retriever.cli.display import console, print_json, print_sources, stream_answer
from s3_retriever.cli.opening import open_engine
from s3_retriever.cli.options import (
    BudgetOption,
    DeviceOption,
    FilterOption,
    JsonOption,
    ModelOption,
    ModeOption,
    MostSpansOption,
    NamespaceOption,
    ProfileOption,
    QuestionArgument,
    ScoringOption,
    ServedOption,
    UrlOption,
    parse_filter,
)
from s3_retriever.cli.serving import index_of, is_client

if TYPE_CHECKING:
    from s3_retriever.client import Client, RemoteAnswer
    from s3_retriever.engine import Engine
    from s3_retriever.generation.answer import AnswerStream

__all__ = ["ask"]


def ask(
    question: QuestionArgument,
    folder: ServedOption = None,
    url: UrlOption = None,
    max_tokens: BudgetOption = 512,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 128,
    k: MostSpansOption = None,
    mode: ModeOption = None,
    scoring: ScoringOption = None,
    condition: FilterOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Answer a question from the spans found for it, and name them."""
    metadata = parse_filter(condition)
    index = index_of(folder, url, namespace, profile, local=(model, device), finding=True)

    def begin(engine: Engine | Client) -> tuple[str, float, AnswerStream | RemoteAnswer]:
        name = engine.info().profile if is_client(engine) else engine.profile.card.name
        started = time.perf_counter()
        stream = engine.answer(
            question,
            max_tokens=max_tokens,
            max_new_tokens=answer_tokens,
            k=k,
            filter=metadata,
            mode=mode,
            scoring=scoring,
        )
        return name, started, stream

    name, started, stream = index.asking(
        begin, lambda place: open_engine(place, profile, model, device)
    )
    if not as_json:
        stream_answer(stream)
        console.print()
        print_sources(stream.result())
        return
    answer = stream.result()
    print_json(
        {
            "question": question,
            "index": index.name,
            "profile": name,
            "answer": answer.text,
            "citations": [span.id for span in answer.citations],
            "spans": [span.to_dict() for span in answer.spans],
            "ms": round(1000 * (time.perf_counter() - started), 1),
        }
    )
