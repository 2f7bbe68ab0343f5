"""The consistency analysis as a page and a picture, the published figures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_retriever_bench.markdown import interval, table
from s3_retriever_bench.plot import require_matplotlib

__all__ = ["METRICS", "consistency_page", "plot_consistency"]

METRICS = {
    "k_cosine": "K cosine",
    "relative_error": "relative error of K",
    "jaccard": "feature Jaccard",
    "iou_coactivation": "retrieval IoU, Eq. 7",
    "iou_attention": "retrieval IoU, attention",
}
PAPER = {
    "k_cosine": {"512": 0.964, "1024": 0.983, "2048": 0.998, "4096": 1.0},
    "relative_error": {"512": 0.160, "1024": 0.078, "2048": 0.007, "4096": 0.0},
    "jaccard": {"512": 0.960, "1024": 0.981, "2048": 0.998, "4096": 1.0},
    "iou_coactivation": {"512": 1.0, "1024": 1.0, "2048": 1.0, "4096": 1.0},
}
"""The published table (its documents seem to be no longer than 4096 tokens)."""


def consistency_page(result: Mapping[str, Any]) -> str:
    """The figures as Markdown, the published ones beside them.

    Args:
        result: of :func:`~s3_retriever_bench.analyses.consistency.measure_consistency`.
    """
    sizes = [str(size) for size in result["sizes"]]
    lines = [
        f"{len(result['tokens'])} documents of {', '.join(map(str, result['tokens']))} tokens, "
        f"{result['questions']} questions, spans of {result['budget']} tokens. Means, the worst in "
        "brackets.",
        "",
    ]
    rows = []
    for metric, title in METRICS.items():
        if metric in PAPER:
            paper = PAPER[metric]
            rows.append([title, "in the paper", *(_three(paper.get(size)) for size in sizes)])
        for variant, by_size in result["variants"].items():
            if all(metric in by_size[size] for size in sizes):
                values = (by_size[size][metric] for size in sizes)
                shown = (f"{v['mean']:.3f} ({v['worst']:.3f})" for v in values)
                rows.append([title, variant, *shown])
    lines += [*table(["metric", "reading", *sizes], rows), "", "Evidence recall:", ""]
    rows = [
        [scoring, variant, *(interval(by_size.get(size)) for size in [*sizes, "full"])]
        for scoring, variants in result["evidence_recall"].items()
        for variant, by_size in variants.items()
    ]
    lines += table(["scoring", "reading", *sizes, "one pass"], rows)
    return "\n".join(lines) + "\n"


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def plot_consistency(result: Mapping[str, Any], path: Path) -> None:
    """Draw each metric by chunk size, a line a way of reading.

    Args:
        result: of :func:`~s3_retriever_bench.analyses.consistency.measure_consistency`.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    sizes = result["sizes"]
    metrics = [m for m in METRICS if all(m in v for v in result["variants"]["shipped"].values())]
    styles = {"published": ("tab:red", "o"), "without sinks": ("tab:orange", "s")}
    styles["shipped"] = ("tab:blue", "^")
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, 3).ravel()
    panels = [*metrics, "evidence_recall"]
    for axes, metric in zip(grid, panels, strict=False):
        axes.set_title(METRICS.get(metric, "evidence recall"))
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(s) for s in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
        if metric in PAPER:
            known = [s for s in sizes if str(s) in PAPER[metric]]
            paper = [PAPER[metric][str(s)] for s in known]
            axes.plot(known, paper, "--", color="0.5", marker=".", label="in the paper")
        for variant, (colour, marker) in styles.items():
            if metric == "evidence_recall":
                continue
            means = [result["variants"][variant][str(s)][metric]["mean"] for s in sizes]
            axes.plot(sizes, means, color=colour, marker=marker, label=variant)
        if metric.startswith("iou"):
            axes.set_ylim(0, 1.03)
    recall = grid[len(panels) - 1]
    for scoring, line in (("attention", "-"), ("coactivation", ":")):
        for variant, (colour, marker) in styles.items():
            values = result["evidence_recall"].get(scoring, {}).get(variant, {})
            means = [values[str(s)]["mean"] for s in sizes if str(s) in values]
            if means:
                recall.plot(sizes, means, line, color=colour, marker=marker)
            if "full" in values:
                recall.axhline(values["full"]["mean"], color=colour, linestyle=line, alpha=0.35)
    recall.set_ylim(0, 1)
    recall.set_xlabel("solid: attention, dotted: Eq. 7; pale: one pass", fontsize="small")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    grid[0].legend(fontsize="small", loc="lower right")
    figure.supxlabel("tokens of a chunk", fontsize="medium")
    figure.savefig(path, dpi=72)
