"""``s3-retriever calibrate``: which query heads retrieve, and how much each should count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.table import Table
from rich.text import Text

from s3_retriever.cli.display import console, errors, progress_bar, visible, waiting
from s3_retriever.cli.options import DeviceOption, ModelOption
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from s3_retriever.calibrate.calibration import Calibration
    from s3_retriever.engine import Engine
    from s3_retriever.evaluate.collection import Collection

__all__ = ["calibrate"]

_SHOWN = 16
"""Heads of the table."""


def calibrate(
    data: Annotated[
        Optional[Path],
        typer.Option(help="Questions with gold paragraphs: multi-hop records or SQuAD."),
    ] = None,
    text: Annotated[
        Optional[Path],
        typer.Option(
            help="Instead of --data: a file or folder of plain text. Sentences taken out of their "
            "paragraphs are the questions."
        ),
    ] = None,
    profile: Annotated[
        Optional[str],
        typer.Option(help="Name of a shipped profile, or a folder. Default: the shipped one."),
    ] = None,
    heads: Annotated[int, typer.Option(min=1, help="At most so many heads are chosen.")] = 5,
    limit: Annotated[int, typer.Option(min=2, help="At most so many questions.")] = 100,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 0,
    json_out: Annotated[Optional[Path], typer.Option("--json", help="Write the figures.")] = None,
    out: Annotated[
        Optional[Path], typer.Option(help="Folder of a new profile with the chosen heads.")
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Rank all query heads by how well each alone finds gold paragraphs; weigh the best.

    Only heads whose keys the profile codes can be chosen. A question takes 2 to 3 seconds on two
    CPU cores with SmolLM2-135M; the keys of one context at a time are in memory (about 30 MB).
    """
    from s3_retriever.calibrate.calibration import calibrate as measure
    from s3_retriever.calibrate.profiles import refuse_folder, write_profile
    from s3_retriever.engine import DEFAULT_PROFILE, Engine

    # what can fail is tried before minutes of measuring, not after them
    if out:
        refuse_folder(out)
    if json_out and not json_out.absolute().parent.is_dir():
        raise InputError(f"{json_out} cannot be written: its folder does not exist")
    collections = _questions(data, text, limit, seed)
    chosen = profile or DEFAULT_PROFILE
    with waiting("loading the model ..."):
        engine = Engine.from_profile(chosen, model=model, device=device)
    with progress_bar() as bar:
        task = bar.add_task("questions", total=None, note="")
        found = measure(
            engine.generator,
            engine.profile,
            collections,
            n_heads=heads,
            seed=seed,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    advice = _advice(found, engine, heads)
    if json_out:
        record = {"data": str(data or text), "labels": data is not None, "seed": seed}
        record |= {"profile": engine.profile.card.name, "model": engine.generator.name}
        record |= {**found.record(), "train": advice[-1] if advice else None}
        json_out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _show(found, engine)
    for line in advice:
        _print(line)
    if out:
        write_profile(chosen, found.heads, out)
        _print(f"Wrote {out}. Use it with --profile {out}; indexes made with {chosen} stay valid.")


def _questions(data: Path | None, text: Path | None, limit: int, seed: int) -> list[Collection]:
    """Labelled questions, or those of the inverse cloze task."""
    if (data is None) == (text is None):
        raise InputError("give either --data (labelled questions) or --text (plain text)")
    if data is not None:
        from s3_retriever.evaluate.datasets import load_collections

        return load_collections(data, limit=limit, seed=seed)
    from s3_retriever.calibrate.cloze import inverse_cloze
    from s3_retriever.readers import read_files

    assert text is not None
    files = read_files([text])
    for path, reason in files.skipped.items():
        errors.print(Text(f"skipped {visible(path)}: {reason}", "yellow"), soft_wrap=True)
    return inverse_cloze((document.text for document in files.documents), limit=limit, seed=seed)


def _show(found: Calibration, engine: Engine) -> None:
    """The best heads, what was cross-validated, and what was taken."""
    from s3_retriever.calibrate.profiles import site_of

    _print(
        f"R-precision of every head alone on {found.n} questions, exact keys; "
        f"a random order has {found.chance:.3f}"
    )
    table = Table(box=None, pad_edge=False)
    for title in ("head", "R-precision", "95% interval", "autoencoder"):
        table.add_column(title)
    for layer, head in found.ranking[:_SHOWN]:
        needs = "needs --layers {}:{}".format(*site_of(engine.profile.card, (layer, head)))
        served = "coded" if (layer, head) in found.coded else needs
        alone = found.precision((layer, head))
        interval = "{low:.3f} to {high:.3f}".format(**alone)
        table.add_row(f"{layer}.{head}", f"{alone['mean']:.3f}", interval, served)
    console.print(table, highlight=False, markup=False)

    n = len(found.equal)
    _print("Coded heads, chosen on one half of the questions and measured on the other:")
    names = {
        "best_head": "best head",
        "equal": f"{n} heads, equal weights",
        "learned": f"{n} heads, learned weights",
    }
    for name, figure in found.cross_validated.items():
        _print(f"  {names[name]}: " + "{mean:.3f} ({low:.3f} to {high:.3f})".format(**figure))
    taken = ", ".join(
        f"{h.layer}.{h.head}" + (f" x {h.weight:.2f}" if found.weighting == "learned" else "")
        for h in found.heads
    )
    lead = "{mean:+.3f}, 95% interval {low:.3f} to {high:.3f}".format(**found.lead)
    _print(f"Taken: {found.weighting} weights (learned less equal: {lead}): {taken}")


def _advice(found: Calibration, engine: Engine, n: int) -> list[str]:
    """What to train if some of the ``n`` best heads of all are not coded; the command is last."""
    from s3_retriever.calibrate.profiles import train_command

    better = found.better_uncoded(n)
    if not better:
        return []
    leads = (
        "{}.{} (by {mean:.3f}, 95% interval {low:.3f} to {high:.3f})".format(*head, **lead)
        for head, lead in better.items()
    )
    best = found.ranking[:n]
    last, now = max(layer for layer, _ in best), max(engine.profile.layers)
    return [
        f"Ahead of the weakest head taken, but not coded: {', '.join(leads)}. A profile with the "
        f"{len(best)} best heads of all, for which reading goes on to layer {last} (now {now}) of "
        f"{engine.generator.layout.n_layers}, is made by:",
        train_command(engine.generator.name, engine.profile.card, best),
    ]


def _print(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False, highlight=False)
