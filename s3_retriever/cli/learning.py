"""``calibrate --distill`` and ``calibrate --fusion``: what a profile learns beside its heads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.cli.display import console, progress_bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_retriever.engine import Engine
    from s3_retriever.labels.collections import Collection

__all__ = ["learn_adapter", "learn_fusion", "print_line", "say_written"]


def learn_adapter(
    engine: Engine,
    profile: str,
    material: Sequence[Collection] | Sequence[str],
    limit: int,
    seed: int,
    out: Path | None,
) -> dict[str, Any]:
    """Train a query adapter from questions, or from texts for which the model writes questions."""
    from s3_retriever.labels.collections import Collection
    from s3_retriever.training.calibration.calibration import with_labels
    from s3_retriever.training.calibration.distillation import distill
    from s3_retriever.training.calibration.distillation_examples import (
        distillation_examples,
        projected,
    )
    from s3_retriever.training.calibration.profiles import write_profile
    from s3_retriever.training.calibration.written_questions import written_questions

    llm = engine.llm
    null = engine.retrieve_settings.scoring.null_question
    with progress_bar() as bar:
        collections = [c for c in material if isinstance(c, Collection)]
        if not collections:
            writing = bar.add_task("questions written", total=None, note="")
            collections = written_questions(
                llm,
                [text for text in material if isinstance(text, str)],
                limit=limit,
                seed=seed,
                on_question=lambda n, total: bar.update(writing, completed=n, total=total),
            )
        usable = [with_labels(collection) for collection in collections]
        asked = sum(len(collection.questions) for collection in usable)
        reading = bar.add_task("questions read", total=asked, note="")
        examples = distillation_examples(
            llm,
            engine.profile,
            [collection for collection in usable if collection.questions],
            on_question=lambda n: bar.update(reading, completed=n),
        )
        epochs = bar.add_task("epochs", total=None, note="")
        found = distill(
            engine.profile,
            llm.layout,
            examples,
            None if null is None else projected(llm, engine.profile, null),
            seed=seed,
            on_epoch=lambda n, total: bar.update(epochs, completed=n, total=total),
        )
    record = found.record()
    print_line(
        f"{len(examples)} questions, {record['n_held_out']} of them held out. "
        f"{len(found.choosing)} of these chose the epoch; loss there, in nats: "
        f"{found.losses[0]:.3f} before, {found.losses[found.epoch]:.3f} after epoch {found.epoch}. "
        f"On the other {len(found.reported)}:"
    )
    for name, figure in record["r_precision"].items():
        print_line(
            f"  R-precision {name}: " + "{mean:.3f} ({low:.3f} to {high:.3f})".format(**figure)
        )
    print_line("  after less before: {mean:+.3f} ({low:+.3f} to {high:+.3f})".format(**found.lead))
    if out:
        write_profile(profile, out, adapter=found.adapter)
        say_written(out, profile)
    return record


def learn_fusion(
    engine: Engine, profile: str, collections: Sequence[Collection], seed: int, out: Path | None
) -> dict[str, Any]:
    """Learn the weights of the legs on labelled questions."""
    from s3_retriever.training.calibration.fusion_weights import fit_fusion, legs_of
    from s3_retriever.training.calibration.profiles import write_profile

    asked = sum(len(collection.questions) for collection in collections)
    with progress_bar() as bar:
        reading = bar.add_task("questions", total=asked, note="")
        questions = legs_of(
            engine, collections, on_question=lambda n: bar.update(reading, completed=n)
        )
        fitting = bar.add_task("weights tried", total=None, note="")
        found = fit_fusion(
            questions,
            engine.retrieve_settings.fusion,
            seed=seed,
            on_trial=lambda n: bar.update(fitting, completed=n),
        )
    print_line(f"Evidence recall at {found.budget} tokens on {len(questions)} questions:")
    for name, figure in found.unseen.items():
        print_line(f"  {name}: " + "{mean:.3f} ({low:.3f} to {high:.3f})".format(**figure))
    print_line("  learned less given: {mean:+.3f} ({low:+.3f} to {high:+.3f})".format(**found.lead))
    weights = ", ".join(f"{name} {value:g}" for name, value in found.weights.items())
    print_line(f"Learned on all: {weights}")
    taken = "learned" if found.wins else "given"
    print_line(
        f"Taken: the {taken} weights"
        + ("" if found.wins else ", as the lead is no more than noise")
    )
    if out:
        learned = engine.retrieve_settings.model_copy(update={"fusion": found.learned})
        write_profile(profile, out, retrieve=learned if found.wins else None)
        say_written(out, profile)
    return found.record()


def say_written(out: Path, profile: str) -> None:
    """Where the new profile is and what it fits."""
    print_line(f"Wrote {out}. Use it with --profile {out}; indexes made with {profile} stay valid.")


def print_line(line: str) -> None:
    """One line, as it is."""
    console.print(line, soft_wrap=True, markup=False, highlight=False)
