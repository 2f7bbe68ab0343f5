"""``s3-retriever adopt``: from a model to a profile that retrieves, in one command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.calibrate import read_texts
from s3_retriever.cli.display import print_table, progress_bar
from s3_retriever.cli.learning import print_line
from s3_retriever.cli.options import recorded_command
from s3_retriever.errors import InputError
from s3_retriever.profiles.cards import shipped_profiles

__all__ = ["adopt"]


def adopt(
    model: Annotated[str, typer.Argument(help="Hub id, folder or .gguf file.")],
    out: Annotated[Path, typer.Option(help="Folder of the new profile.")],
    text: Annotated[
        Optional[Path],
        typer.Option(help="Plain text (a file or folder) to train on and to make questions of."),
    ] = None,
    data: Annotated[
        Optional[Path],
        typer.Option(help="Labelled questions: multi-hop records, SQuAD or QMSum."),
    ] = None,
    minutes: Annotated[
        Optional[float],
        typer.Option(help="About how long it may take. Default: 6 to 20, by the model's size."),
    ] = None,
    layers: Annotated[
        Optional[int],
        typer.Option(
            help="Look for heads in so many of the first layers only: what is read costs time with "
            "every layer. Default: the first two thirds."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the profile. Default: the folder's.")] = "",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1. Default: the best.")] = "",
) -> None:
    """Make a profile for a model: choose layers and heads, train autoencoders, fit, and report.

    Run the same command again after an interruption: it goes on where it stopped.
    """
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.training.adoption.adopt import adopt as run
    from s3_retriever.training.adoption.material import from_labels, from_text
    from s3_retriever.training.adoption.plan import Plan, default_minutes
    from s3_retriever.training.calibration.profiles import refuse_folder

    if (text is None) == (data is None):
        raise InputError("give either --data (labelled questions) or --text (plain text)")
    refuse_folder(out)
    if data is not None:
        material = from_labels(data, seed=seed)
    else:
        assert text is not None
        material = from_text(read_texts(text), seed=seed)
    llm = TransformersModel.load(model, device=device or None)
    limit = minutes or default_minutes(llm)
    tasks: dict[str, Any] = {}
    with progress_bar() as bar:

        def plan_line(plan: Plan) -> None:
            bar.console.print(
                f"{plan.n_learn} questions to choose heads by, {plan.n_fit} to weigh legs by and "
                f"{plan.n_report} to report on; heads of {plan.n_layers} layers; "
                f"{plan.corpus_tokens:,} tokens and {plan.steps} steps for each autoencoder: "
                f"about {max(1, round(plan.seconds / 60))} minutes",
                soft_wrap=True,
            )

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                if not bar.console.is_terminal:  # no bar is drawn there: say at least what is done
                    bar.console.print(f"{stage}: {total:,}")
                tasks[stage] = bar.add_task(stage, total=total, note="")
            bar.update(tasks[stage], completed=done, total=total)

        found = run(
            llm,
            material,
            out,
            minutes=limit,
            name=name or out.name,
            command=recorded_command(sys.argv[1:]),
            layers=layers,
            seed=seed,
            on_plan=plan_line,
            on_progress=progress,
        )
    _show_layers(found.layers)
    _show_report(found.report)
    card = found.profile.card
    for hookpoint in card.hookpoints:
        print_line(f"{hookpoint.folder}: FVU {hookpoint.fvu:.3f} on held-out text")
    print_line("Heads: " + ", ".join(f"{h.layer}.{h.head} x {h.weight:.2f}" for h in card.heads))
    (mode,) = card.presets.values()
    print_line(f"Recommended on this device: mode {mode}; {found.report['why']}")
    print_line(f"Wrote {out}. Use it with --profile {_told(out)}")


def _told(out: Path) -> str:
    """A folder as ``--profile`` takes it: a shipped profile's bare name would mean that one."""
    return f"./{out}" if str(out) in shipped_profiles() else str(out)


def _show_layers(rows: list[dict[str, Any]]) -> None:
    print_line("What reading up to a layer costs, and what its heads find (R-precision, unseen):")
    shown = [("layer", "tokens/s", "R-precision", "")]
    for row in rows:
        taken = "taken" if row["taken"] else ""
        figures = (str(row["layer"]), f"{row['tokens_per_second']:,}", f"{row['r_precision']:.3f}")
        shown.append((*figures, taken))
    print_table(shown)


def _show_report(report: dict[str, Any]) -> None:
    print_line(
        f"Evidence recall on {report['n']} questions that nothing was learned from "
        f"({report['source']}):"
    )
    budgets = [str(budget) for budget in report["budgets"]]
    shown = [("", *(f"{budget} tokens" for budget in budgets), "95% at 256", "ms")]
    named = {f"mode {mode}": row for mode, row in report["modes"].items()}
    for name, row in {**report["peers"], **named}.items():
        recalls = [f"{row['evidence_recall'][budget]:.3f}" for budget in budgets]
        interval = "{:.3f} to {:.3f}".format(*row["interval"])
        shown.append((name, *recalls, interval, f"{row.get('milliseconds', ''):}"))
    print_table(shown)
    if not report["peers"]:
        print_line("Peers: install s3-retriever-bench to see BM25 and dense retrieval beside it.")
    print_line(
        f"{report['bytes_a_token']} bytes of codes a token, "
        f"{report['tokens_per_second']:,} tokens/s read on {report['device']}"
    )
