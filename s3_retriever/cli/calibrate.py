"""``s3-retriever calibrate``: which query heads retrieve, and how much each should count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.text import Text

from s3_retriever.cli.display import errors, print_table, progress_bar, waiting
from s3_retriever.cli.learning import learn_adapter, learn_fusion, print_line, say_written
from s3_retriever.cli.options import DeviceOption, ModelOption
from s3_retriever.errors import InputError
from s3_retriever.quoting import brief

if TYPE_CHECKING:
    from s3_retriever.engine import Engine
    from s3_retriever.labels.collections import Collection
    from s3_retriever.training.calibration.calibration import Calibration

__all__ = ["calibrate", "read_texts"]

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
    distill: Annotated[
        bool,
        typer.Option(
            "--distill",
            help="Leave the heads as they are and train a query adapter: the codes learn to rank "
            "as the model does when it reads. With --text the model writes the questions.",
        ),
    ] = False,
    fusion: Annotated[
        bool,
        typer.Option("--fusion", help="Instead, learn the weights of the legs; needs --data."),
    ] = False,
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
    from s3_retriever.engine import Engine
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.training.calibration.profiles import refuse_folder

    # what can fail is tried before minutes of measuring, not after them
    if out:
        refuse_folder(out)
    if json_out and not json_out.absolute().parent.is_dir():
        raise InputError(f"{brief(json_out)} cannot be written: its folder does not exist")
    if distill and fusion:
        raise InputError("give either --distill or --fusion; each makes a profile for the other")
    if fusion and data is None:
        raise InputError("--fusion needs --data (questions with labelled evidence)")
    texts = None if text is None else read_texts(text)
    collections = None if distill and texts else _questions(data, texts, limit, seed)
    chosen = profile or DEFAULT_PROFILE
    with waiting("loading the model ..."):
        engine = Engine.from_profile(chosen, model=model, device=device)
    if distill:
        record = learn_adapter(engine, chosen, collections or texts or [], limit, seed, out)
    elif fusion:
        record = learn_fusion(engine, chosen, collections or [], seed, out)
    else:
        record = _choose_heads(engine, chosen, collections or [], heads, seed, out)
    if json_out:
        about = {"data": str(data or text), "labels": data is not None, "seed": seed}
        about |= {"profile": engine.profile.card.name, "model": engine.llm.name}
        json_out.write_text(json.dumps(about | record, indent=1) + "\n", encoding="utf-8")


def _choose_heads(
    engine: Engine,
    profile: str,
    collections: list[Collection],
    n_heads: int,
    seed: int,
    out: Path | None,
) -> dict[str, Any]:
    """Rank and weigh heads, say what was found, and write the profile."""
    from s3_retriever.training.calibration.calibration import calibrate as measure
    from s3_retriever.training.calibration.profiles import write_profile

    with progress_bar() as bar:
        task = bar.add_task("questions", total=None, note="")
        found = measure(
            engine.llm,
            engine.profile,
            collections,
            n_heads=n_heads,
            seed=seed,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    advice = _advice(found, engine, n_heads)
    _show(found, engine)
    for line in advice:
        print_line(line)
    if out:
        write_profile(profile, out, heads=found.heads)
        say_written(out, profile)
    return {**found.record(), "train": advice[-1] if advice else None}


def read_texts(path: Path) -> list[str]:
    """The texts of a file or folder; what cannot be read is said on standard error."""
    from s3_retriever.readers import read_files

    files = read_files([path])
    for name, reason in files.skipped.items():
        errors.print(Text(f"skipped {brief(name)}: {reason}", "yellow"), soft_wrap=True)
    return [document.text for document in files.documents]


def _questions(
    data: Path | None, texts: list[str] | None, limit: int, seed: int
) -> list[Collection]:
    """Labelled questions, or those of the inverse cloze task."""
    if (data is None) == (texts is None):
        raise InputError("give either --data (labelled questions) or --text (plain text)")
    if data is not None:
        from s3_retriever.labels.datasets import load_collections

        return load_collections(data, limit=limit, seed=seed)
    from s3_retriever.training.calibration.cloze import inverse_cloze

    assert texts is not None
    return inverse_cloze(texts, limit=limit, seed=seed)


def _show(found: Calibration, engine: Engine) -> None:
    """The best heads, what was cross-validated, and what was taken."""
    from s3_retriever.training.calibration.profiles import site_of

    print_line(
        f"R-precision of every head alone on {found.n} questions, exact keys; "
        f"a random order has {found.chance:.3f}"
    )
    rows = [("head", "R-precision", "95% interval", "autoencoder")]
    for layer, head in found.ranking[:_SHOWN]:
        needs = "needs --layers {}:{}".format(*site_of(engine.profile.card, (layer, head)))
        served = "coded" if (layer, head) in found.coded else needs
        alone = found.precision((layer, head))
        interval = "{low:.3f} to {high:.3f}".format(**alone)
        rows.append((f"{layer}.{head}", f"{alone['mean']:.3f}", interval, served))
    print_table(rows)

    n = len(found.equal)
    print_line("Coded heads, chosen on one half of the questions and measured on the other:")
    names = {
        "best_head": "best head",
        "equal": f"{n} heads, equal weights",
        "learned": f"{n} heads, learned weights",
    }
    for name, figure in found.cross_validated.items():
        print_line(f"  {names[name]}: " + "{mean:.3f} ({low:.3f} to {high:.3f})".format(**figure))
    taken = ", ".join(
        f"{h.layer}.{h.head}" + (f" x {h.weight:.2f}" if found.weighting == "learned" else "")
        for h in found.heads
    )
    lead = "{mean:+.3f}, 95% interval {low:.3f} to {high:.3f}".format(**found.lead)
    print_line(f"Taken: {found.weighting} weights (learned less equal: {lead}): {taken}")


def _advice(found: Calibration, engine: Engine, n: int) -> list[str]:
    """What to train if some of the ``n`` best heads of all are not coded; the command is last."""
    from s3_retriever.training.calibration.profiles import train_command

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
        f"{engine.llm.layout.n_layers}, is made by:",
        train_command(engine.llm.name, engine.profile.card, best),
    ]
