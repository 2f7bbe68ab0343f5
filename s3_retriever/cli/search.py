"""``s3-retriever search``: a question, and the spans that hold its evidence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from s3_retriever.cli.display import console, print_json, print_spans
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
from s3_retriever.cli.searching import Searcher, open_searcher
from s3_retriever.cli.serving import index_of, is_client
from s3_retriever.quoting import brief

if TYPE_CHECKING:
    from s3_retriever.client import Client
    from s3_retriever.types import Span

__all__ = ["search"]


def search(
    question: QuestionArgument,
    folder: ServedOption = None,
    url: UrlOption = None,
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
    index = index_of(folder, url, namespace, profile, local=(model, device), finding=True)
    found = index.asking(
        lambda searcher: _search(
            searcher,
            question,
            max_tokens=max_tokens,
            k=k,
            filter=metadata,
            mode=mode,
            scoring=scoring,
            token_scores=not as_json,
        ),
        lambda place: open_searcher(place, profile, model, device, mode),
    )
    if as_json:
        print_json(
            {
                "question": question,
                "index": index.name,
                "profile": found.profile,
                "spans": [span.to_dict() for span in found.spans],
                "ms": round(found.ms, 1),
            }
        )
        return
    print_spans(found.spans)
    footer = f"{len(found.spans)} spans, {found.tokens} tokens, {found.ms:.0f} ms, "
    console.print(Text(footer + brief(index.name), "dim"), soft_wrap=True)


@dataclass(frozen=True)
class _Found:
    """What a search prints, whoever found it."""

    spans: Sequence[Span]
    profile: str
    tokens: int
    ms: float


def _search(searcher: Searcher | Client, question: str, **arguments: Any) -> _Found:
    started = time.perf_counter()
    spans = searcher.retrieve(question, **arguments)
    ms = 1000 * (time.perf_counter() - started)
    texts = [span.text for span in spans]
    if is_client(searcher):
        return _Found(spans, searcher.info().profile, sum(searcher.count_tokens(texts)), ms)
    return _Found(spans, searcher.profile, sum(map(searcher.count_tokens, texts)), ms)
