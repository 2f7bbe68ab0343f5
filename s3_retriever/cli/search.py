"""``s3-retriever search``: a question, and the spans that hold its evidence."""

from __future__ import annotations

import time

from rich.text import Text

from s3_retriever.cli.display import console, print_json, span_panels
from s3_retriever.cli.opening import place_of, shown
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
from s3_retriever.cli.searching import open_searcher
from s3_retriever.quoting import brief

__all__ = ["search"]


def search(
    question: QuestionArgument,
    folder: IndexOption,
    max_tokens: BudgetOption = 256,
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
    """Find the spans of text that hold the evidence for a question."""
    metadata = parse_filter(condition)
    place = place_of(folder, namespace)
    index = open_searcher(place, profile, model, device, mode)
    started = time.perf_counter()
    spans = index.retrieve(
        question,
        max_tokens=max_tokens,
        k=k,
        filter=metadata,
        mode=mode,
        scoring=scoring,
        token_scores=not as_json,
    )
    ms = 1000 * (time.perf_counter() - started)
    if as_json:
        print_json(
            {
                "question": question,
                "index": shown(place),
                "profile": index.profile,
                "spans": [span.to_dict() for span in spans],
                "ms": round(ms, 1),
            }
        )
        return
    console.print(span_panels(spans))
    tokens = sum(index.count_tokens(span.text) for span in spans)
    console.print(
        Text(f"{len(spans)} spans, {tokens} tokens, {ms:.0f} ms, {brief(shown(place))}", "dim"),
        soft_wrap=True,
    )
