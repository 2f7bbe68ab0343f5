"""Evidence recall against the budget, as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3_retriever.errors import InputError
from s3_retriever_bench.methods import PEERS

__all__ = ["plot_recall", "require_matplotlib"]

MARKERS = "os^vDPX<>*hpd8"


def require_matplotlib() -> None:
    """Say early that matplotlib is missing.

    Raises:
        InputError: it is; the message names the extra to install.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as e:
        raise InputError("plots need matplotlib: pip install s3-retriever-bench") from e


def plot_recall(result: Mapping[str, Any], path: Path) -> None:
    """Draw evidence recall by budget, a line a method: peers dashed, the others solid.

    The legend stands in the order of the lines' right ends.

    Args:
        result: as for :func:`~s3_retriever_bench.report.report`.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed, or no evidence is labelled.
    """
    require_matplotlib()
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    budgets = sorted(result["budgets"])
    means = {
        name: [figures["evidence_recall"][str(b)]["mean"] for b in budgets]
        for name, figures in result["methods"].items()
        if figures["evidence_recall"]
    }
    if not means:
        raise InputError("there is no evidence recall to plot: the data labels no evidence")
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    colours = colormaps["tab20"]  # ten strong colours, and between them ten pale ones
    lines = {}
    for number, name in enumerate(sorted(means, key=lambda name: name in PEERS)):
        (lines[name],) = axes.plot(
            budgets,
            means[name],
            label=name,
            color=colours((2 * number + 2 * number // 20) % 20),
            marker=MARKERS[number % len(MARKERS)],
            linestyle="--" if name in PEERS else "-",
            linewidth=1.5 if name in PEERS else 2.2,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(budgets, [str(b) for b in budgets])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.set_xlabel("budget (tokens)")
    axes.set_ylabel("evidence recall")
    axes.set_title(f"{result['data']}, {result['setting']} setting, {result['n']} questions")
    axes.grid(alpha=0.3)
    in_order = [lines[name] for name in sorted(means, key=lambda name: -means[name][-1])]
    axes.legend(handles=in_order, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(path, dpi=130)
