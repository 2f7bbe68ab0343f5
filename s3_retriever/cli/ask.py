"""``s3-retriever ask``: an answer from the spans, with its sources."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from s3_retriever.cli.display import answer_sources, console, print_json, stream_answer
from s3_retriever.cli.opening import open_engine, place_of, shown
from s3_retriever.cli.options import (
    BudgetOption,
    DeviceOption,
    FilterOption,
    IndexOption,
    JsonOption,
    ModelOption,
    ModeOption,
    MostSpansOption,
    NamespaceOption,
    ProfileOption,
    QuestionArgument,
    ScoringOption,
    parse_filter,
)

__all__ = ["ask"]


def ask(
    question: QuestionArgument,
    folder: IndexOption,
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
    place = place_of(folder, namespace)
    engine = open_engine(place, profile, model, device)
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
    if not as_json:
        stream_answer(stream)
        console.print()
        console.print(answer_sources(stream.result()))
        return
    answer = stream.result()
    print_json(
        {
            "question": question,
            "index": shown(place),
            "profile": engine.profile.card.name,
            "answer": answer.text,
            "citations": [span.id for span in answer.citations],
            "spans": [span.to_dict() for span in answer.spans],
            "ms": round(1000 * (time.perf_counter() - started), 1),
        }
    )
