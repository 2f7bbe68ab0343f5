"""The result of an evaluation as a Markdown page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from s3_retriever_bench.markdown import interval, section, table
from s3_retriever_bench.summary import OVERLAP, PASSAGES, headline_budget

__all__ = ["report"]

Figures = Mapping[str, Any]
_Column = Callable[[Figures], Mapping[str, float] | None]


def report(result: Mapping[str, Any]) -> str:
    """Tables of evidence recall and of everything else that was measured.

    Args:
        result: what :func:`~s3_retriever_bench.retrieval.evaluate_retrieval` gives, with
            ``data``, ``setting``, ``seed`` and ``profile``.
    """
    methods: Mapping[str, Figures] = result["methods"]
    ran = {name: figures for name, figures in methods.items() if figures["skipped"] is None}
    lines = [
        f"# {result['data']}, {result['setting']} setting",
        "",
        f"{result['n']} questions (seed {result['seed']}), profile {result['profile']}. Means with "
        "95% intervals by bootstrap over questions. Budgets are in the model's tokens; each is "
        "filled from the same ranking.",
    ]
    if any(figures["evidence_recall"] for figures in ran.values()):
        lines += section(
            "Evidence recall by budget",
            "Share of the gold sentences that stand in the retrieved text.",
            *_by_budget(methods, result["budgets"], "evidence_recall", interval),
        )
    lines += section(
        f"Other figures at {headline_budget(result['budgets'])} tokens",
        "Passage recall, nDCG and recall@100 are of the whole ranking. Milliseconds are the median "
        "of a question, index seconds all reading.",
        *_others(ran, str(headline_budget(result["budgets"]))),
    )
    with_spans = {name: f for name, f in ran.items() if all(f[metric] for metric in OVERLAP)}
    if with_spans:
        lines += section(
            "Overlap with the evidence by budget",
            "Characters that are both retrieved and evidence, as a share of the evidence (recall) "
            "/ of what is retrieved (precision) / of both together (IoU).",
            *_overlap(with_spans, result["budgets"]),
        )
    lines += section(
        "Tokens used by budget",
        "What a method leaves unused is wasted.",
        *_by_budget(ran, result["budgets"], "tokens_used", lambda value: f"{value:.1f}"),
    )
    lines += _notes(methods)
    lines += _comparisons(result["comparisons"])
    return "\n".join(lines) + "\n"


def _by_budget(
    methods: Mapping[str, Figures],
    budgets: Sequence[int],
    metric: str,
    shown: Callable[[Any], str],
) -> list[str]:
    """A row a method, a column a budget; a skipped method's reason stands in its first column."""
    rows = []
    for name, figures in methods.items():
        if figures["skipped"] is not None:
            rows.append([name, f"skipped: {figures['skipped']}", *[""] * (len(budgets) - 1)])
        else:
            rows.append([name, *(shown(figures[metric][str(b)]) for b in budgets)])
    return table(["method", *map(str, budgets)], rows)


def _overlap(methods: Mapping[str, Figures], budgets: Sequence[int]) -> list[str]:
    """A row a method, a column a budget; the three means in each cell."""
    rows = [
        [
            name,
            *(" / ".join(f"{figures[m][str(b)]['mean']:.3f}" for m in OVERLAP) for b in budgets),
        ]
        for name, figures in methods.items()
    ]
    return table(["method", *map(str, budgets)], rows)


def _others(ran: Mapping[str, Figures], budget: str) -> list[str]:
    """One column for each further metric that applies."""
    columns: dict[str, _Column] = {
        "all evidence": _column("all_evidence", budget),
        "answer recall": _column("answer_recall", budget),
        **{f"passage recall@{k}": _column("passage_recall", str(k)) for k in PASSAGES},
        "nDCG@10": _column("ndcg@10"),
        "recall@100": _column("recall@100"),
    }
    columns = {title: of for title, of in columns.items() if any(of(f) for f in ran.values())}
    rows = [
        [
            name,
            *(interval(of(figures)) for of in columns.values()),
            f"{figures['ms_per_question']:.0f}",
            f"{figures['index_seconds']:.1f}",
        ]
        for name, figures in ran.items()
    ]
    return table(["method", *columns, "ms a question", "index seconds"], rows)


def _column(metric: str, at: str | None = None) -> _Column:
    """What shows a metric of a method's figures; ``None`` where it does not apply."""

    def figure(figures: Figures) -> Mapping[str, float] | None:
        found: Mapping[str, Any] | None = figures[metric]
        return found[at] if found and at else found

    return figure


def _notes(methods: Mapping[str, Figures]) -> list[str]:
    found = [f"- {name}: {f['note']}" for name, f in methods.items() if f["note"]]
    found += [f"- {name}: skipped, {f['skipped']}" for name, f in methods.items() if f["skipped"]]
    return ["", "## Notes", "", *found] if found else []


def _comparisons(comparisons: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        [at, comparison["best_peer"], name, interval(difference)]
        for at, comparison in comparisons.items()
        for name, difference in comparison.items()
        if name != "best_peer"
    ]
    if not rows:
        return []
    return section(
        "Differences from the best peer",
        "Paired by question.",
        *table(["at", "best peer", "method", "difference"], rows),
    )
