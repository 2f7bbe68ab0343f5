"""The density curve of one document: where the model looks, and which peaks became spans."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from s3_retriever.errors import InputError

try:
    from matplotlib.figure import Figure
except ImportError as e:
    raise InputError('plots need matplotlib: pip install "s3-retriever[plot]"') from e

from s3_retriever.explain.reading import Reading
from s3_retriever.retrieval.density import find_peaks, smooth
from s3_retriever.settings import DensitySettings
from s3_retriever.types import Span

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["draw_density", "plot_density"]


class Picture(Figure):
    """A figure that every notebook shows, whether or not pyplot was imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def plot_density(
    reading: Reading,
    settings: DensitySettings,
    question: str,
    doc_id: str,
    spans: Sequence[Span],
    dense: Callable[[str, Sequence[str]], Sequence[float] | np.ndarray] | None,
    dense_name: str,
) -> Picture:
    """Attention smoothed over tokens, its peaks, the spans that were chosen, dense scores.

    Args:
        reading: of the document to draw.
        settings: how peaks are found.
        question: plain text.
        doc_id: the document's.
        spans: of that document, shaded.
        dense: scores sentences for a question; drawn on an axis of its own.
        dense_name: what the legend calls it.
    """
    figure = Picture(figsize=(10, 3.5), layout="constrained")
    axes = figure.subplots()
    lines = draw_density(axes, reading, settings, question, spans, dense, dense_name)
    axes.set(xlabel=f"character of {doc_id}", ylabel="attention over average", title=question)
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), fontsize="small")
    return figure


def draw_density(
    axes: Axes,
    reading: Reading,
    settings: DensitySettings,
    question: str,
    spans: Sequence[Span],
    dense: Callable[[str, Sequence[str]], Sequence[float] | np.ndarray] | None,
    dense_name: str,
) -> list[Artist]:
    """What :func:`plot_density` shows, into axes of a larger picture.

    Returns:
        What a legend lists.
    """
    density = smooth(reading.scores, settings.kernel)
    peaks = find_peaks(density, settings)
    axes.plot(reading.starts, density, color="tab:orange", linewidth=1, label="attention density")
    axes.plot(reading.starts[peaks], density[peaks], "o", ms=3, color="tab:red", label="peaks")
    for n, span in enumerate(sorted(spans, key=lambda s: s.rank)):
        axes.axvspan(
            span.start, span.end, color="tab:green", alpha=0.2, label=None if n else "chosen spans"
        )
    listed: list[Artist] = axes.get_legend_handles_labels()[0]
    if dense is not None:
        bounds = reading.bounds.sentences.tolist()
        scores = dense(question, [reading.text[a:b] for a, b in bounds])
        other = axes.twinx()
        for (start, end), score in zip(bounds, scores, strict=True):
            (line,) = other.plot([start, end], [score, score], color="tab:blue", linewidth=2)
        other.set_ylabel(dense_name)
        line.set_label(f"{dense_name}, by sentence")
        listed.append(line)
    return listed
