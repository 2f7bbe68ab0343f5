"""Seconds and memory of a question against the length of the context.

Source: S3-Attention (arXiv 2601.17702), which reports that its prototype is slower than the full
context from end to end. Each system and length is measured in a process of its own, so that no
peak hides another, on questions about one document: the first, which pays for reading it, and the
average over all.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.settings import Mode
from s3_retriever_bench.device import peak_memory, synchronize
from s3_retriever_bench.longbench.caches import write_compressed
from s3_retriever_bench.longbench.prompts import prompt_ids
from s3_retriever_bench.longbench.tasks import TASKS
from s3_retriever_bench.longbench.writing import Written, write
from s3_retriever_bench.markdown import table
from s3_retriever_bench.methods.method import own_weights
from s3_retriever_bench.plot import require_matplotlib

__all__ = ["CLOCKS", "SYSTEMS", "Plan", "cost_page", "measure_costs", "plot_costs"]

SYSTEMS = ("full", "snapkv", "s3", "s3-fast")
REREADS = ("full", "snapkv")
"""They read the whole document for every question."""
CLOCKS = ("wall", "cpu")
"""Seconds that pass, or the process's processor seconds, which other work does not lengthen."""
_TASK = TASKS["hotpotqa"]
"""Whose prompt is used."""


@dataclass(frozen=True)
class Plan:
    """What every process measures."""

    profile: str
    model: str | None
    device: str | None
    text: str
    """At least as long as the longest context."""
    questions: tuple[str, ...]
    rereads: int
    """Questions that the systems of :data:`REREADS` are asked: each costs them the same."""
    budget: int
    """Tokens that compressed contexts and caches keep."""
    max_new_tokens: int


def measure_costs(
    plan: Plan,
    lengths: Sequence[int],
    systems: Sequence[str] = SYSTEMS,
    *,
    on_process: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Measure every system at every length.

    Args:
        plan: what is asked of which text.
        lengths: of the whole prompt, in tokens: document, question and template.
        systems: of :data:`SYSTEMS`.
        on_process: called with the processes that have ended and those there are.

    Returns:
        For each length and system ``peak_bytes`` (above the loaded model), ``asked``, and for each
        clock ``first`` and ``average`` seconds, by stage: ``read`` (scan, retrieval, prefill) and
        ``write``.

    Raises:
        InputError: a length does not fit the window, or the text is shorter.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit memory in use
    found = []
    total = len(lengths) * len(systems)
    for length in lengths:
        for system in systems:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_report, args=(sender, plan, system, length))
            process.start()
            sender.close()
            try:
                result = receiver.recv()
            except EOFError as e:
                process.join()
                raise InputError(
                    f"{system} at {length} tokens ended without a result (exit code "
                    f"{process.exitcode}); the machine may lack memory"
                ) from e
            process.join()
            if isinstance(result, InputError):
                raise result
            found.append(result)
            on_process(len(found), total)
    return found


def _report(sender: Any, plan: Plan, system: str, length: int) -> None:
    """The child process: a result, or the user's mistake."""
    try:
        sender.send(_measure(plan, system, length))
    except InputError as e:
        sender.send(e)


def _measure(plan: Plan, system: str, length: int) -> dict[str, Any]:
    engine = Engine.from_profile(plan.profile, model=plan.model, device=plan.device)
    llm = own_weights(engine)
    document = _document(engine, plan, length)
    ask = _asking(engine, plan, system, document)
    ask_warm = _asking(engine, plan, system, document[:600])
    ask_warm(plan.questions[0])  # kernels, lazy imports
    asked = plan.questions[: plan.rereads] if system in REREADS else plan.questions
    seconds: list[dict[str, dict[str, float]]] = []
    with peak_memory(llm.device) as peak:
        for question in asked:
            started = {"wall": time.perf_counter(), "cpu": time.process_time()}
            written = ask(question)
            synchronize(llm.device)
            ended = {"wall": time.perf_counter(), "cpu": time.process_time()}
            spent = {clock: ended[clock] - started[clock] for clock in started}
            share = written.decode_s / spent["wall"]
            seconds.append(
                {
                    clock: {"total": s, "write": s * share, "read": s * (1 - share)}
                    for clock, s in spent.items()
                }
            )
    return {
        "system": system,
        "length": length,
        "asked": len(asked),
        "peak_bytes": peak.bytes,
        "threads": torch.get_num_threads(),
        "device": str(llm.device),
        **{
            clock: {
                "first": seconds[0][clock],
                "average": {
                    stage: sum(s[clock][stage] for s in seconds) / len(seconds)
                    for stage in ("read", "write", "total")
                },
            }
            for clock in CLOCKS
        },
    }


def _document(engine: Engine, plan: Plan, length: int) -> str:
    """The beginning of the text that makes the longest question's prompt ``length`` tokens."""
    llm = engine.llm
    if length + plan.max_new_tokens > llm.window:
        raise InputError(
            f"{length} tokens and {plan.max_new_tokens} new ones exceed the window of {llm.window}"
        )
    limit = llm.window
    around = max(len(prompt_ids(llm, _TASK, "", q, limit=limit)) for q in plan.questions)
    tokens = llm.tokenize(plan.text)
    wanted = length - around
    if not 0 < wanted <= len(tokens):
        raise InputError(
            f"a context of {length} tokens needs {wanted} of text, and there are {len(tokens)}"
        )
    return plan.text[: int(tokens.ends[wanted - 1])]


def _asking(engine: Engine, plan: Plan, system: str, document: str) -> Callable[[str], Written]:
    """What answers a question about the document from end to end."""
    llm = own_weights(engine)

    def prompt(context: str, question: str) -> list[int]:
        limit = llm.window - plan.max_new_tokens
        return prompt_ids(llm, _TASK, context, question, limit=limit)

    def full(question: str) -> Written:
        return write(llm, prompt(document, question), plan.max_new_tokens)

    def snapkv(question: str) -> Written:
        ids = prompt(document, question)
        [(_, written)] = write_compressed(llm, ids, ["snapkv"], plan.budget, plan.max_new_tokens)
        return written

    def retrieving(mode: Mode) -> Callable[[str], Written]:
        def ask(question: str) -> Written:
            short = engine.compress(question, document, plan.budget, mode=mode)
            return write(llm, prompt(short.text, question), plan.max_new_tokens)

        return ask

    ways: dict[str, Callable[[str], Written]] = {
        "full": full,
        "snapkv": snapkv,
        "s3": retrieving("hybrid"),
        "s3-fast": retrieving("fast"),
    }
    return ways[system]


def speedups(
    rows: Sequence[Mapping[str, Any]], clock: str
) -> Iterator[tuple[str, int, float, float]]:
    """System, length, and how many times as fast as ``full``: first question, average."""
    full = {row["length"]: row[clock] for row in rows if row["system"] == "full"}
    for row in rows:
        if row["system"] != "full" and row["length"] in full:
            whole, own = full[row["length"]], row[clock]
            yield (
                row["system"],
                row["length"],
                whole["first"]["total"] / own["first"]["total"],
                whole["average"]["total"] / own["average"]["total"],
            )


def crossing(rows: Sequence[Mapping[str, Any]], system: str, clock: str, key: str) -> float | None:
    """The shortest context from which ``system`` is faster than ``full``; ``None`` if it never is.

    Between two lengths the difference is taken to change evenly.

    Args:
        rows: of :func:`measure_costs`.
        system: which one.
        clock: which seconds.
        key: ``first`` or ``average``.

    Example:
        >>> def row(system, length, s):
        ...     return {"system": system, "length": length, "wall": {"first": {"total": s}}}
        >>> rows = [row("full", 100, 1.0), row("s3", 100, 2.0)]
        >>> rows += [row("full", 200, 4.0), row("s3", 200, 3.0)]
        >>> crossing(rows, "s3", "wall", "first")
        150.0
    """
    seconds: dict[tuple[str, int], float] = {
        (r["system"], r["length"]): r[clock][key]["total"] for r in rows
    }
    lengths = sorted(n for s, n in seconds if s == system and ("full", n) in seconds)
    gains = [(n, seconds["full", n] - seconds[system, n]) for n in lengths]
    if not gains or gains[-1][1] <= 0:
        return None
    at = float(lengths[-1])
    for (n, gain), (after, more) in reversed(list(pairwise(gains))):
        if gain <= 0:
            return n + (after - n) * gain / (gain - more)
        at = float(n)
    return at


def cost_page(result: Mapping[str, Any]) -> str:
    """The figures of :func:`measure_costs` as Markdown."""
    rows, clock = result["rows"], result["clock"]
    faster = {(system, n): (first, mean) for system, n, first, mean in speedups(rows, clock)}
    lines = [
        f"Seconds ({clock} clock) and peak memory above the loaded model; budget "
        f"{result['budget']} tokens, at most {result['max_new_tokens']} new ones.",
        "",
        *table(
            ["tokens", "system", "asked", "first", "average", "x first", "x average", "peak MiB"],
            [
                [
                    f"{row['length']:,}",
                    row["system"],
                    str(row["asked"]),
                    f"{row[clock]['first']['total']:.2f}",
                    f"{row[clock]['average']['total']:.2f}",
                    *(f"{x:.2f}" for x in faster.get((row["system"], row["length"]), ())),
                    *([""] * 2 if row["system"] == "full" else []),
                    f"{row['peak_bytes'] / 2**20:.0f}",
                ]
                for row in rows
            ],
        ),
        "",
    ]
    for system in dict.fromkeys(row["system"] for row in rows if row["system"] != "full"):
        for key, name in (("first", "first question"), ("average", "average")):
            at = crossing(rows, system, clock, key)
            where = "at no length measured" if at is None else f"from {at:,.0f} tokens"
            lines.append(f"- {system}, {name}: faster than full {where}")
    return "\n".join(lines) + "\n"


def plot_costs(result: Mapping[str, Any], path: Path) -> None:
    """Draw seconds of the first question and on average, and peak memory, by length.

    Args:
        result: ``rows`` of :func:`measure_costs`, ``clock``, ``questions``.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    rows, clock = result["rows"], result["clock"]
    lengths = sorted({row["length"] for row in rows})
    seconds = "seconds" if clock == "wall" else "processor seconds"
    panels: list[tuple[str, str, Callable[[Mapping[str, Any]], float]]] = [
        ("first question", seconds, lambda row: float(row[clock]["first"]["total"])),
        (
            f"average over {result['questions']} questions",
            seconds,
            lambda row: float(row[clock]["average"]["total"]),
        ),
        ("peak memory", "MiB above the model", lambda row: float(row["peak_bytes"] / 2**20)),
    ]
    colours = {"full": "0.3", "snapkv": "tab:orange", "s3": "tab:blue", "s3-fast": "tab:cyan"}
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (title, unit, of) in zip(figure.subplots(1, 3), panels, strict=True):
        for system in dict.fromkeys(row["system"] for row in rows):
            own = sorted((r for r in rows if r["system"] == system), key=lambda r: r["length"])
            at = [row["length"] for row in own]
            values = [of(row) for row in own]
            axes.plot(at, values, "o-", color=colours[system], label=system)
        axes.set_xticks(lengths, [f"{n:,}" for n in lengths])
        axes.set_ylim(bottom=0)
        axes.set_title(title, fontsize="medium")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
    for axes, key in zip(figure.axes, ("first", "average"), strict=False):
        crossed = crossing(rows, "s3", clock, key)
        if crossed is not None and crossed > lengths[0]:
            axes.axvline(crossed, color=colours["s3"], linestyle=":")
            label = f" s3 faster from {crossed:,.0f}"
            axes.text(crossed, 0, label, va="bottom", fontsize="small")
    figure.axes[0].legend(fontsize="small")
    figure.supxlabel("tokens of the prompt", fontsize="medium")
    figure.savefig(path, dpi=80)
