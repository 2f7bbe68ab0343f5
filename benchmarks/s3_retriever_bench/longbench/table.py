"""The published main table as a Markdown page, with what each method cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3_retriever_bench.longbench.answers import STAGES
from s3_retriever_bench.longbench.caches import CACHE_METHODS
from s3_retriever_bench.longbench.figures import SAMPLES
from s3_retriever_bench.longbench.tasks import FAMILIES, NEW_TOKENS, TASKS
from s3_retriever_bench.markdown import interval, section, table

__all__ = ["page"]


def page(result: Mapping[str, Any]) -> str:
    """The tables of a run and what has to be known to read them.

    Args:
        result: what :func:`~s3_retriever_bench.longbench.figures.figures` gives, with
            ``settings``.
    """
    methods: Mapping[str, Mapping[str, Any]] = result["methods"]
    ran = {name: found for name, found in methods.items() if found["average"]}
    lines = ["# LongBench", "", *_protocol(result)]
    if not ran:
        lines += ["", "No record is answered by every method yet."]
    else:
        lines += section("Scores", _columns(result["tasks"]), *_scores(methods, result["tasks"]))
        lines += section(
            "Intervals",
            f"95%, by bootstrap over each task's records ({SAMPLES} resamples, the same for every "
            "method).",
            *_intervals(ran, result["tasks"]),
        )
        lines += section("Costs", _COSTS, *_costs(ran))
    lines += [
        *(["", "## Not run", ""] if any(f["skipped"] for f in methods.values()) else []),
        *(f"- {name}: {found['skipped']}" for name, found in methods.items() if found["skipped"]),
    ]
    return "\n".join(lines) + "\n"


_COSTS = (
    "Means of a question: seconds of each stage, tokens of the context that is answered from, new "
    "tokens. A method is charged for the whole scan, though one scan serves all questions on a "
    "text. Memory is the most that any stage took above what was in use before it; on a CPU it is "
    "the resident set, which is coarse."
)


def _protocol(result: Mapping[str, Any]) -> list[str]:
    settings, counted = result["settings"], result["counted"]
    records = ", ".join(
        f"{TASKS[task].title} {counted.get(task, 0)} of {n}" for task, n in result["asked"].items()
    )
    shots = f"{settings['shots']}-shot" if settings["shots"] else "zero-shot"
    whole = [name for name in result["methods"] if name == "full" or name in CACHE_METHODS]
    lines = [
        f"- Model: {settings['model']} ({settings['dtype']}), profile {settings['profile']}.",
        f"- Records of {', '.join(settings['data'])} (seed {settings['seed']}) that every method "
        f"answered: {records}. The others do not count.",
        f"- LongBench's prompts ({shots}) in the model's chat template, greedy decoding, at most "
        f"{NEW_TOKENS['f1']} new tokens for questions and {NEW_TOKENS['rouge-l']} for summaries.",
        f"- Retrievers read the whole text, whatever the window, and keep {settings['budget']} "
        "tokens of it.",
    ]
    if whole:
        lines.append(
            f"- {', '.join(whole)}: the prompt is cut in the middle to the window of "
            f"{settings['window']} tokens and read with the question inside; a compressed cache "
            f"keeps {settings['budget']} positions of it."
        )
    if 1 in counted.values():
        lines.append(
            "- Where a task has one record nothing varies from draw to draw: intervals are too "
            "narrow."
        )
    return lines


def _columns(tasks: Sequence[str]) -> str:
    groups = []
    for family, title in FAMILIES.items():
        names = [TASKS[task].title for task in tasks if TASKS[task].family == family]
        metric = "Rouge-L" if family == "summary" else "F1"
        if names:
            groups.append(f"{title} ({metric}): {', '.join(names)}.")
    partial = "" if len(tasks) == len(TASKS) else f" Avg is over {len(tasks)} of the nine tasks."
    return (
        f"Times 100. {' '.join(groups)} Avg is the mean of the columns, retention Avg in percent of"
        f" full's; the last column is Avg of s3 less the row's, paired by record.{partial}"
    )


def _scores(methods: Mapping[str, Mapping[str, Any]], tasks: Sequence[str]) -> list[str]:
    rows = []
    for name, found in methods.items():
        if not found["average"]:
            rows.append([name, "not run, see below", *[""] * (len(tasks) + 2)])
            continue
        cells = [f"{found['tasks'][task]['mean']:.2f}" for task in tasks]
        summary = ("average", 2), ("retention", 0), ("lead", 2)
        rows.append([name, *cells, *(interval(found[figure], n) for figure, n in summary)])
    titles = [TASKS[task].title for task in tasks]
    return table(["method", *titles, "Avg", "retention %", "s3 less it"], rows)


def _intervals(ran: Mapping[str, Mapping[str, Any]], tasks: Sequence[str]) -> list[str]:
    def cell(value: Mapping[str, float]) -> str:
        return f"{value['low']:.1f} to {value['high']:.1f}"

    rows = [[name, *(cell(found["tasks"][t]) for t in tasks)] for name, found in ran.items()]
    return table(["method", *(TASKS[task].title for task in tasks)], rows)


def _costs(ran: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            name,
            *(f"{found['seconds'][stage]:.2f}" for stage in (*STAGES, "total")),
            f"{found['context_tokens']:.0f}",
            f"{found['new_tokens']:.0f}",
            f"{found['peak_bytes'] / 2**20:.0f}",
        ]
        for name, found in ran.items()
    ]
    return table(
        ["method", *(f"{s} s" for s in STAGES), "total s", "context", "new", "peak MiB"], rows
    )
