"""Where the model looks, beside what an embedding model finds alike: a density curve a question.

Source: S3-Attention (arXiv 2601.17702), its qualitative figure. One question may be the reader's
own; the others are chosen among drawn ones by how much better or worse ``s3`` does than dense
retrieval, so that the losses are shown with the wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.labels.budget import BudgetFiller
from s3_retriever.labels.collections import Collection, Place, Question
from s3_retriever.labels.metrics import evidence_recall
from s3_retriever.retrieval.density import smooth
from s3_retriever.types import Document
from s3_retriever_bench.markdown import table
from s3_retriever_bench.methods.dense import Cosines
from s3_retriever_bench.methods.encoder import Encoder, load_encoder
from s3_retriever_bench.methods.method import Method
from s3_retriever_bench.methods.ranking import UnitRanking
from s3_retriever_bench.methods.s3 import S3, scanned
from s3_retriever_bench.plot import require_matplotlib

__all__ = [
    "RULE",
    "as_record",
    "choose",
    "figure_page",
    "own_question",
    "plot_figure",
    "sentence_ranks",
]

RULE = (
    "evidence recall of s3 less that of dense, mean over the budgets: the two largest differences, "
    "the two smallest and the median; of equal ones the first drawn"
)

BUDGETS = (64, 128, 256)
"""At which the two methods are compared; spans are drawn at the middle one."""


@dataclass(frozen=True)
class Chosen:
    """A question of the figure."""

    why: str
    """``asked``, ``win``, ``loss`` or ``median``."""
    collection: Collection
    """With this question alone."""
    s3: float | None = None
    """Mean evidence recall over the budgets; ``None`` without labelled evidence."""
    dense: float | None = None

    @property
    def question(self) -> Question:
        """The one question."""
        return self.collection.questions[0]


@dataclass(frozen=True)
class GoldRank:
    """Places of a gold sentence among all sentences of its document; 1 is the best."""

    text: str
    density: int
    """By the highest density inside it."""
    dense: int
    """By its cosine with the question."""
    of: int
    """Sentences of the document."""


def own_question(question: str, text: str) -> Chosen:
    """A question that the reader asks of a text; no evidence is labelled."""
    asked = Question("asked", question)
    return Chosen("asked", Collection((Document("context", text),), (asked,)))


def choose(
    engine: Engine,
    collections: Sequence[Collection],
    on_question: Callable[[int], None] = lambda done: None,
) -> tuple[list[Chosen], dict[str, Any]]:
    """Five questions by :data:`RULE`, and what both methods reach on all of them.

    Args:
        engine: its model, profile and settings.
        collections: of the distractor setting, in the order they were drawn.
        on_question: called with the number of questions done.

    Raises:
        InputError: there are fewer than five.
        MethodUnavailable: there is no embedding model.
    """
    if len(collections) < 5:
        raise InputError(f"five questions are chosen, and there are {len(collections)}")
    methods: dict[str, Method] = {"s3": S3(engine), "dense": UnitRanking(engine, [Cosines])}
    measured: list[Chosen] = []
    for done, collection in enumerate(collections, start=1):
        filler = BudgetFiller(collection, engine.llm.count_tokens)
        [question] = collection.questions
        means = {}
        for name, method in methods.items():
            method.read(collection)
            ranking = method.rank(question.text)
            found = (evidence_recall(question, filler.fill(ranking, b)) for b in BUDGETS)
            means[name] = float(np.mean([recall or 0.0 for recall in found]))
        measured.append(Chosen("", collection, **means))
        on_question(done)
    everything = {
        "questions": len(measured),
        "s3": float(np.mean([m.s3 for m in measured])),
        "dense": float(np.mean([m.dense for m in measured])),
        "wins": sum(_difference(m) > 0 for m in measured),
        "losses": sum(_difference(m) < 0 for m in measured),
    }
    return list(_five(measured)), everything


def _difference(chosen: Chosen) -> float:
    return (chosen.s3 or 0.0) - (chosen.dense or 0.0)


def _five(measured: Sequence[Chosen]) -> Iterator[Chosen]:
    best_first = sorted(measured, key=lambda m: -_difference(m))
    worst_first = sorted(measured, key=_difference)
    middle = best_first[len(best_first) // 2]
    for why, chosen in (
        *(("win", c) for c in best_first[:2]),
        ("median", middle),
        *(("loss", c) for c in worst_first[:2]),
    ):
        yield Chosen(why, chosen.collection, chosen.s3, chosen.dense)


def sentence_ranks(engine: Engine, chosen: Chosen) -> list[GoldRank]:
    """Where each gold sentence stands by density and by cosine, of its document's sentences."""
    encoder = load_encoder(str(engine.llm.describe()["device"]))
    [document] = chosen.collection.documents
    index = scanned(engine).of(chosen.collection)
    reading = index.read_document(chosen.question.text, document.id)
    density = smooth(reading.scores, index.retrieve_settings.density.kernel)
    bounds = reading.bounds.sentences.tolist()
    peaks = [
        float(density[(reading.starts < end) & (reading.ends > start)].max(initial=-np.inf))
        for start, end in bounds
    ]
    cosines = _cosines(encoder)(chosen.question.text, [document.text[a:b] for a, b in bounds])
    ranks = [np.argsort(np.argsort(-np.asarray(v), kind="stable")) + 1 for v in (peaks, cosines)]
    found = []
    for gold in chosen.question.evidence:
        at = max(range(len(bounds)), key=lambda n: _shared(gold, bounds[n]))
        text = chosen.collection.text(gold)
        found.append(GoldRank(text, int(ranks[0][at]), int(ranks[1][at]), len(bounds)))
    return found


def _shared(gold: Place, bounds: tuple[int, int]) -> int:
    return min(gold.end, bounds[1]) - max(gold.start, bounds[0])


def _cosines(encoder: Encoder) -> Callable[[str, Sequence[str]], np.ndarray]:
    def cosines(question: str, passages: Sequence[str]) -> np.ndarray:
        found: np.ndarray = encoder.passages(passages) @ encoder.question(question)
        return found

    return cosines


def figure_page(everything: Mapping[str, Any] | None, chosen: Sequence[Mapping[str, Any]]) -> str:
    """The questions of the figure as Markdown.

    Args:
        everything: of :func:`choose`; ``None`` if only the reader's own question was asked.
        chosen: of :func:`as_record`.
    """
    lines = []
    if everything:
        lines = [
            f"{everything['questions']} questions; evidence recall, mean over {BUDGETS} tokens: s3 "
            f"{everything['s3']:.3f}, dense {everything['dense']:.3f}; s3 is ahead on "
            f"{everything['wins']}, behind on {everything['losses']}.",
            f"Chosen by {RULE}.",
            "",
        ]
    rows = [
        [
            c["why"],
            c["question"],
            "" if c["s3"] is None else f"{c['s3']:.2f}",
            "" if c["dense"] is None else f"{c['dense']:.2f}",
            "; ".join(f"{g['density']} / {g['dense']} of {g['of']}" for g in c["gold"]),
        ]
        for c in chosen
    ]
    header = ["", "question", "s3", "dense", "rank of the gold sentences: density / dense"]
    return "\n".join([*lines, *table(header, rows)]) + "\n"


def as_record(engine: Engine, chosen: Chosen) -> dict[str, Any]:
    """A chosen question as plain JSON values."""
    return {
        "why": chosen.why,
        "id": chosen.question.id,
        "question": chosen.question.text,
        "answers": list(chosen.question.answers),
        "s3": chosen.s3,
        "dense": chosen.dense,
        "gold": [asdict(rank) for rank in sentence_ranks(engine, chosen)],
    }


def plot_figure(engine: Engine, chosen: Sequence[Chosen], path: Path) -> None:
    """Draw a panel a question: density, peaks, spans of ``s3``, dense scores, gold sentences.

    Args:
        engine: as for :func:`choose`.
        chosen: the questions.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
        MethodUnavailable: there is no embedding model.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    from s3_retriever.explain.plot import draw_density

    encoder = load_encoder(str(engine.llm.describe()["device"]))
    figure = Figure(figsize=(11, 2.1 * len(chosen) + 0.5), layout="constrained")
    grid = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
    legend: dict[str, Any] = {}
    for axes, one in zip(grid, chosen, strict=True):
        index = scanned(engine).of(one.collection)
        spans = index.retrieve(one.question.text, max_tokens=BUDGETS[1])
        [document] = one.collection.documents
        listed = draw_density(
            axes,
            index.read_document(one.question.text, document.id),
            index.retrieve_settings.density,
            one.question.text,
            spans,
            _cosines(encoder),
            "dense",
        )
        bottom = axes.get_ylim()[0]
        for gold in one.question.evidence:
            (line,) = axes.plot(
                [gold.start, gold.end], [bottom, bottom], color="black", linewidth=6
            )
            line.set(label="gold sentences", solid_capstyle="butt")
            listed.append(line)
        recalls = "" if one.s3 is None else f" (recall: s3 {one.s3:.2f}, dense {one.dense:.2f})"
        axes.set_title(
            f"{one.why}: {shorten(one.question.text, 110, placeholder=' ...')}{recalls}",
            fontsize="medium",
            loc="left",
        )
        axes.margins(x=0.005)
        axes.set_ylabel("density", fontsize="small")
        axes.tick_params(labelsize="small")
        legend |= {str(artist.get_label()): artist for artist in listed}
    figure.supxlabel("character of the context", fontsize="medium")
    figure.legend(
        handles=list(legend.values()), loc="outside upper center", ncols=5, fontsize="small"
    )
    figure.savefig(path, dpi=80)
