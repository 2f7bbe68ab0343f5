"""What a shortened context does to the next token and to the gold answer.

Source: S3-Attention (arXiv 2601.17702), its table of fluency and utility: answer recall, KL of the
next-token distribution from that of the full context, negative log-likelihood of the gold answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s3_retriever.engine import Engine
from s3_retriever.labels.bootstrap import bootstrap
from s3_retriever.labels.collections import Question
from s3_retriever.labels.metrics import answer_recall
from s3_retriever.models.base import Chat
from s3_retriever.models.transformers import TransformersModel
from s3_retriever_bench.longbench.contexts import Shortener
from s3_retriever_bench.longbench.prompts import prompt_ids
from s3_retriever_bench.longbench.records import Record
from s3_retriever_bench.longbench.tasks import TASKS
from s3_retriever_bench.markdown import interval, table
from s3_retriever_bench.methods.method import MethodUnavailable, own_weights
from s3_retriever_bench.plot import require_matplotlib

__all__ = ["METHODS", "fluency_page", "measure_fluency", "plot_fluency"]

METHODS = ("s3", "s3-hybrid", "s3-pure", "bm25", "rag-dense")
BOUNDS = ("full", "no context")
"""What the compressed contexts lie between."""

METRICS = {
    "nll": "NLL of the gold answer, nats a token",
    "answer_recall": "answer recall",
    "kl": "KL(full || compressed), nats",
    "answer_kl": "KL within the gold answer, nats",
}
"""Published are the first three. The first token after the prompt is mostly how a sentence begins,
so the KL is also measured where each token of the gold answer stands, those before it read."""

KLS = ("kl", "answer_kl")
PAPER = {
    "s3-hybrid": {"nll": 1.8573, "answer_recall": 0.84, "kl": 0.2154},
    "s3-pure": {"nll": 2.0652, "answer_recall": 0.78, "kl": 0.6510},
    "bm25": {"nll": 1.9593, "answer_recall": 0.77, "kl": 0.3707},
    "rag-dense": {"nll": 1.8630, "answer_recall": 0.77, "kl": 0.3831},
}
"""The published table; it does not say on which model and data."""


def measure_fluency(
    engine: Engine,
    records: Sequence[Record],
    *,
    budget: int,
    seed: int = 0,
    on_record: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Compare compressed contexts with the full one, question by question.

    Args:
        engine: its model, profile and settings; its index is not touched.
        records: questions; of their answers the first is the gold one.
        budget: tokens of a compressed context.
        seed: of the bootstrap.
        on_record: called with the number of records done.

    Returns:
        ``n``, ``budget``, ``skipped`` (reason by method), ``methods``: by name, ``full`` and ``no
        context`` among them, each metric's mean and interval and ``context_tokens``; ``truncated``,
        how many full contexts had to be cut in the middle to fit the window; ``differences``: the
        same metrics of ``s3`` less each other method's, paired by question.
    """
    llm, shortener = own_weights(engine), Shortener(engine)
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    skipped: dict[str, str] = {}
    truncated = 0
    for done, record in enumerate(records, start=1):
        answer = llm.tokenize(record.answers[0]).ids.tolist()
        limit = llm.window - len(answer)
        asked = partial(_prompt, llm, record, limit)
        truncated += len(asked("")) + llm.count_tokens(record.context) > limit
        texts = {"full": record.context}
        for method in METHODS:
            if method not in skipped:
                try:
                    texts[method] = shortener.shorten(record, method, budget).text
                except MethodUnavailable as e:
                    skipped[method] = str(e)
                    values.pop(method, None)
        texts["no context"] = ""
        reference: Tensor | None = None
        for method, text in texts.items():
            prompt = asked(text)
            expected = answer_distributions(llm, prompt, answer)
            reference = expected if reference is None else reference
            found = values[method]
            n_context = llm.count_tokens(text)
            found["nll"].append(nll(expected, answer))
            divergences = kl(reference, expected)
            found["kl"].append(float(divergences[0]))
            found["answer_kl"].append(float(divergences.mean()))
            question = Question(record.id, record.input, record.answers)
            found["answer_recall"].append(answer_recall(question, text) or 0.0)
            found["context_tokens"].append(n_context)
        on_record(done)
    return {
        "n": len(records),
        "budget": budget,
        "truncated": truncated,
        "skipped": skipped,
        "methods": {
            name: {m: bootstrap(found[m], seed=seed) for m in METRICS}
            | {"context_tokens": float(np.mean(found["context_tokens"]))}
            for name, found in values.items()
        },
        "differences": {
            name: {
                m: bootstrap(np.subtract(values["s3"][m], found[m]).tolist(), seed=seed)
                for m in METRICS
            }
            for name, found in values.items()
            if name not in ("s3", *BOUNDS)
        },
    }


def _prompt(llm: Chat, record: Record, limit: int, context: str) -> list[int]:
    return prompt_ids(llm, TASKS[record.task], context, record.input, limit=limit)


def answer_distributions(
    llm: TransformersModel, prompt: Sequence[int], answer: Sequence[int]
) -> Tensor:
    """Log-probabilities of every token of the vocabulary where each answer token stands.

    Args:
        llm: the resident model.
        prompt: token ids.
        answer: token ids, at least one.

    Returns:
        ``(n_answer_tokens, vocabulary)`` float32 on the CPU; the first row is of the token after
        the prompt.
    """
    ids = torch.tensor([[*prompt, *answer]], device=llm.device)
    at = torch.arange(len(prompt) - 1, ids.shape[1] - 1, device=llm.device)
    with llm.lock, torch.inference_mode():
        logits = llm.model(input_ids=ids, use_cache=False, logits_to_keep=at).logits[0]
        return torch.log_softmax(logits.float(), -1).cpu()


def nll(expected: Tensor, answer: Sequence[int]) -> float:
    """Mean negative log-likelihood of an answer's tokens.

    Args:
        expected: ``(n_answer_tokens, vocabulary)`` log-probabilities.
        answer: token ids.

    Example:
        >>> round(nll(torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log(), [0, 0]), 4)
        1.0397
    """
    return float(-expected.gather(1, torch.tensor(answer)[:, None]).mean())


def kl(full: Tensor, other: Tensor) -> Tensor:
    """KL(full || other) in nats, ``(...)``, of log-probabilities ``(..., vocabulary)``.

    Example:
        >>> half = torch.tensor([0.5, 0.5]).log()
        >>> float(kl(half, half)), round(float(kl(half, torch.tensor([0.25, 0.75]).log())), 4)
        (0.0, 0.1438)
    """
    return (full.exp() * (full - other)).sum(-1)


def fluency_page(result: Mapping[str, Any]) -> str:
    """The figures of :func:`measure_fluency` as Markdown, the published ones beside them."""
    rows = []
    for name, found in result["methods"].items():
        paper = PAPER.get(name)
        rows.append(
            [
                name,
                f"{found['context_tokens']:.0f}",
                *(interval(found[m]) if name != "full" or m not in KLS else "" for m in METRICS),
                " / ".join(f"{figure:.2f}" for figure in paper.values()) if paper else "",
            ]
        )
    rows += [
        [name, "", f"skipped: {why}", "", "", "", ""] for name, why in result["skipped"].items()
    ]
    differences = [
        [name, *(interval(found[m]) for m in METRICS)]
        for name, found in result["differences"].items()
    ]
    titles = list(METRICS.values())
    return "\n".join(
        [
            f"{result['n']} questions, compressed to {result['budget']} tokens; "
            f"{result['truncated']} full contexts cut in the middle to fit the window.",
            "",
            *table(["context", "tokens", *titles, "in the paper"], rows),
            "",
            "s3 less each other, paired:",
            "",
            *table(["s3 less", *titles], differences),
            "",
        ]
    )


def plot_fluency(result: Mapping[str, Any], path: Path) -> None:
    """Draw the metrics, a bar a context.

    Args:
        result: of :func:`measure_fluency`.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.4), layout="constrained")
    names = list(result["methods"])[::-1]
    colours = ["0.7" if n in BOUNDS else "tab:blue" if n == "s3" else "tab:cyan" for n in names]
    for axes, (metric, title) in zip(
        figure.subplots(1, len(METRICS), sharey=True), METRICS.items(), strict=True
    ):
        found = [result["methods"][name][metric] for name in names]
        means = [f["mean"] for f in found]
        spread = [[f["mean"] - f["low"] for f in found], [f["high"] - f["mean"] for f in found]]
        axes.barh(names, means, xerr=spread, color=colours, ecolor="0.3")
        axes.set_title(title, fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        for row, mean in enumerate(means):
            at = axes.get_yaxis_transform()  # a share of the width, and the bar's number
            axes.text(0.02, row, f"{mean:.2f}", va="center", fontsize="small", transform=at)
    figure.savefig(path, dpi=80)
