"""Bytes a token of an index on disk, against the published formula ``4 x layers x k``.

Source: S3-Attention (arXiv 2601.17702): N x layers x k postings of four bytes each. What is
measured here is a whole index: codes (with activations, which the formula has no place for),
character offsets, the text itself, frequencies, the listing, and Tantivy's inverted index.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.description import describe
from s3_retriever.storage.index import Index
from s3_retriever.types import EncodedDocument
from s3_retriever_bench.analyses.cut_codes import cut_codes, cut_profile
from s3_retriever_bench.markdown import table
from s3_retriever_bench.plot import require_matplotlib

__all__ = ["formula", "measure_sizes", "plot_sizes", "size_page"]


def formula(layers: int, k: int) -> int:
    """Bytes a token as published: one int32 position for each active latent of each layer.

    Example:
        >>> formula(4, 128)
        2048
    """
    return 4 * layers * k


def measure_sizes(
    profile: Profile,
    coded: Sequence[EncodedDocument],
    *,
    ks: Sequence[int] | None = None,
    on_index: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write indexes of the same documents with fewer layers, fewer latents, fewer documents.

    Args:
        profile: whose codes they are.
        coded: the documents.
        ks: latents a token and hookpoint: codes are cut to their strongest. Default: a quarter,
            half and all of the profile's.
        on_index: called with the indexes written and those there are.

    Returns:
        ``by_code``: for each number of hookpoints and each ``k`` the bytes a token by part, their
        sum and the formula; ``by_tokens``: the same with whole codes for an eighth of the documents
        up to all of them.

    Raises:
        InputError: there are no documents, or a ``k`` is larger than the profile's.
    """
    most, hookpoints = profile.card.k, len(profile.card.hookpoints)
    wanted = sorted(ks or {max(1, most // 4), max(1, most // 2), most})
    if not coded:
        raise InputError("there is no text to index")
    if wanted[-1] > most:
        raise InputError(f"k is at most the profile's {most}")
    codes = [(h, k) for h in range(1, hookpoints + 1) for k in wanted]
    parts = sorted({max(1, len(coded) // share) for share in (8, 4, 2, 1)})
    total = len(codes) + len(parts)
    by_code, by_tokens = [], []
    for done, (h, k) in enumerate(codes, start=1):
        by_code.append(_measure(profile, coded, h, k))
        on_index(done, total)
    for done, n in enumerate(parts, start=len(codes) + 1):
        by_tokens.append(_measure(profile, coded[:n], hookpoints, most))
        on_index(done, total)
    return {"by_code": by_code, "by_tokens": by_tokens}


def _measure(
    profile: Profile, coded: Sequence[EncodedDocument], hookpoints: int, k: int
) -> dict[str, Any]:
    """One index, written and removed again."""
    kept = range(hookpoints)
    with tempfile.TemporaryDirectory(prefix="s3-retriever-size-") as folder:
        index = Index(Path(folder) / "index", cut_profile(profile, kept, k).card)
        with index.writing():
            index.commit(cut_codes(coded, kept, k))
        found = describe(index.folder, index.snapshot)
    n, forward = found["tokens"], found["forward_bytes"]
    # codes and search first: what the formula speaks of
    parts = {"codes": forward["codes"], "tantivy": found["bytes"]["tantivy"], **forward}
    bytes_per_token = {part: size / n for part, size in parts.items()}
    return {
        "hookpoints": hookpoints,
        "k": k,
        "tokens": n,
        "formula": formula(hookpoints, k),
        "bytes_per_token": bytes_per_token,
        "total": sum(bytes_per_token.values()),
    }


def size_page(result: Mapping[str, Any]) -> str:
    """The figures of :func:`measure_sizes` as Markdown."""
    parts = list(result["by_code"][0]["bytes_per_token"])
    header = ["layers x k", "tokens", "4 x layers x k", "in all", *parts]
    rows = [
        [
            f"{row['hookpoints']} x {row['k']}",
            f"{row['tokens']:,}",
            str(row["formula"]),
            f"{row['total']:.1f}",
            *(f"{row['bytes_per_token'][part]:.1f}" for part in parts),
        ]
        for row in [*result["by_code"], *result["by_tokens"][:-1]]
    ]
    return "\n".join(["Bytes a token:", "", *table(header, rows)]) + "\n"


def plot_sizes(result: Mapping[str, Any], path: Path) -> None:
    """Draw bytes a token by part, by the size of the code and by that of the index.

    Args:
        result: of :func:`measure_sizes`.
        path: of the picture; its suffix chooses the format.

    Raises:
        InputError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    panels = (
        (left, "by_code", "hookpoints x latents a token", "{hookpoints} x {k}"),
        (right, "by_tokens", "tokens of the index", "{tokens:,}"),
    )
    for axes, key, label, name in panels:
        rows = result[key]
        names = [name.format(**row) for row in rows]
        bottom = np.zeros(len(rows))
        for part in rows[0]["bytes_per_token"]:
            heights = np.array([row["bytes_per_token"][part] for row in rows])
            axes.bar(names, heights, 0.6, bottom=bottom, label=part)
            bottom += heights
        at = np.arange(len(rows))
        values = [row["formula"] for row in rows]
        axes.hlines(values, at - 0.36, at + 0.36, "black", linewidth=2.5, label="4 x layers x k")
        axes.set_xlabel(label)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    left.set_ylabel("bytes a token")
    left.legend(loc="upper left", fontsize="small")
    figure.savefig(path, dpi=80)
