"""From a model to a profile that retrieves: rank heads, weigh layers, train, fit, report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection
from s3_retriever.models.base import LanguageModel
from s3_retriever.paths import bound
from s3_retriever.profiles.card import Head, ProfileCard
from s3_retriever.profiles.profile import Profile
from s3_retriever.quoting import brief, quoted
from s3_retriever.settings import RetrieveSettings, SaeSettings, ScanSettings, ScoringSettings
from s3_retriever.training.adoption.fitting import (
    fit_legs,
    fit_width,
    scan_questions,
    weigh_heads,
)
from s3_retriever.training.adoption.layers import HeadRanking, LayerTable
from s3_retriever.training.adoption.material import Material
from s3_retriever.training.adoption.plan import (
    Plan,
    keep_speed,
    kept_speed,
    layers_ranked,
    measure_speed,
)
from s3_retriever.training.adoption.published import published_heads
from s3_retriever.training.adoption.ranking import rank_heads
from s3_retriever.training.adoption.report import recommended, report_card
from s3_retriever.training.calibration.heads import HeadReader
from s3_retriever.training.calibration.profiles import refuse_folder, write_profile
from s3_retriever.training.recipe import make_profile, planned_card

__all__ = ["Adoption", "adopt"]

Report = Callable[[str, int, int], None]
CHUNK_TOKENS = 1024
"""Tokens read at once for training."""


@dataclass(frozen=True)
class Adoption:
    """A profile, and how it was chosen."""

    profile: Profile
    layers: list[dict[str, Any]]
    """Rows of the table of layers: ``layer``, ``tokens_per_second``, ``r_precision``, ``taken``."""
    report: dict[str, Any]
    """The report card, as in the profile."""


def adopt(
    llm: LanguageModel,
    material: Material,
    out: Path,
    *,
    minutes: float,
    name: str,
    command: str,
    layers: int | None = None,
    seed: int = 0,
    on_plan: Callable[[Plan], None] = lambda plan: None,
    on_progress: Report = lambda stage, done, total: None,
    on_layers: Callable[[list[dict[str, Any]]], None] = lambda rows: None,
) -> Adoption:
    """Make a profile for a model, and measure it on questions that nothing was learned from.

    Work in progress stands in a folder beside ``out`` (``NAME.work``) until it is done; a run that
    was stopped goes on from there.

    Args:
        llm: a model of a known family.
        material: questions and text.
        out: the profile's folder; new or empty.
        minutes: about how long it may take; more time means more questions and longer training.
        name: the profile's.
        command: recorded in the profile.
        layers: heads are looked for in so many of the first layers; ``None`` for two thirds of
            them, or for those of the heads that are published.
        seed: of every draw.
        on_plan: called once with what will be done and how long that takes.
        on_progress: called with a stage, what is done of it, and its total.
        on_layers: called with the table of layers when one was chosen.

    Raises:
        InputError: ``out`` holds something, there is too little text, no layer to look in, or the
            work in progress is another command's.
    """
    out = bound(out)
    refuse_folder(out)
    if layers is not None and not 1 <= layers <= llm.layout.n_layers:
        raise InputError(f"layers must be 1 to {llm.layout.n_layers}, not {layers}")
    work = out.with_name(out.name + ".work")
    _claim(work, command)
    layout = llm.layout
    placeholder = planned_card(
        llm, name, [(0, (0,))], (), SaeSettings(latents=2, k=1), bos=llm.adds_bos
    )
    known = published_heads(llm.name, layout.n_layers, layout.n_heads) if layers is None else ()
    n_layers = layers or layers_ranked(layout.n_layers)
    if known:
        n_layers = max(layer for layer, _ in known) + 1
    reader = HeadReader(llm, placeholder, n_layers=n_layers)

    speed = kept_speed(work / "speed.json")
    if speed is None:
        shutil.rmtree(work / "heads", ignore_errors=True)  # what is timed has to be done
        start = time.perf_counter()
        rank_heads(reader, material.learn[:1], work / "heads")
        ranked = time.perf_counter() - start
        speed = measure_speed(llm, material.text, ranked, layout.head_dim)
        keep_speed(work / "speed.json", speed)
    plan = Plan.of(speed, minutes, material, layout.n_layers, n_layers)
    on_plan(plan)
    used = material.first(plan.n_learn, plan.n_report)

    questions = rank_heads(
        reader,
        used.learn,
        work / "heads",
        on_question=lambda done: on_progress("ranking heads", done, plan.n_learn),
    )
    ranking = HeadRanking(questions, layout.n_kv_heads, known)
    table = ranking.table(seed)
    rows = table.rows({n: speed.tokens_per_second(n) for n in range(n_layers)})
    on_layers(rows)

    group = layout.group
    sites = sorted({(layer, head // group) for layer, head in table.choice.heads})
    training = plan.training(speed, minutes, material, table.last, len(sites))
    made = _train(llm, used, table, sites, training, work, name, command, seed, on_progress)
    settings = _statistic(table)
    heads = weigh_heads(questions, table.choice, seed)
    profile = _with_heads(made, heads)
    settings = _fit(llm, profile, used.learn[: plan.n_fit], settings, seed, on_progress)

    report = report_card(
        llm,
        profile,
        used.report,
        settings,
        on_question=lambda done: on_progress("report", done, plan.n_report),
    )
    mode, why = recommended(report)
    report |= {"source": material.source, "n_learned": plan.n_learn, "layers": rows, "why": why}
    device = torch.device(str(llm.describe()["device"])).type
    written = write_profile(
        work / "made",
        out,
        heads=heads,
        retrieve=settings,
        presets={device: mode},
        report=report,
    )
    shutil.rmtree(work)
    return Adoption(written, rows, report)


def _claim(work: Path, command: str) -> None:
    """What stands in the folder was made by the same command: other sizes do not go together."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / "command.txt"
    if file.exists() and (before := file.read_text(encoding="utf-8")) != command:
        raise InputError(
            f"{brief(work)} holds the work of another command, {quoted(before)}: run that again, "
            "or remove the folder"
        )
    file.write_text(command, encoding="utf-8")


def _train(
    llm: LanguageModel,
    material: Material,
    table: LayerTable,
    sites: Sequence[tuple[int, int]],
    plan: Plan,
    work: Path,
    name: str,
    command: str,
    seed: int,
    on_progress: Report,
) -> Profile:
    """Autoencoders of the key heads that the chosen heads read."""
    if (work / "made" / "profile.json").exists():
        return Profile.load(work / "made")
    layout = llm.layout
    corpus = work / "corpus.txt"
    corpus.write_text(material.text, encoding="utf-8")
    make_profile(
        llm,
        name=name,
        corpus=[corpus],
        held_out=[],
        sites=[(layer, (kv_head,)) for layer, kv_head in sites],
        heads=[Head(layer=layer, head=head) for layer, head in table.choice.heads],
        settings=plan.autoencoders(layout.head_dim, seed),
        scan=ScanSettings(chunk_tokens=CHUNK_TOKENS),
        prefix=ProfileCard.model_fields["chunk_prefix"].default,
        bos=llm.adds_bos,
        max_tokens=plan.corpus_tokens,
        out=work / "made",
        command=command,
        report=lambda stage, done, total, _: on_progress(stage, done, total),
    )
    return Profile.load(work / "made")


def _statistic(table: LayerTable) -> RetrieveSettings:
    statistic = table.choice.statistic
    scoring = ScoringSettings(best_tokens=statistic.best_tokens)
    if not statistic.less_null:
        scoring = scoring.model_copy(update={"null_question": None})
    return RetrieveSettings(scoring=scoring)


def _with_heads(profile: Profile, heads: tuple[Head, ...]) -> Profile:
    return Profile(profile.card.model_copy(update={"heads": heads}), profile.saes)


def _fit(
    llm: LanguageModel,
    profile: Profile,
    collections: Sequence[Collection],
    settings: RetrieveSettings,
    seed: int,
    on_progress: Report,
) -> RetrieveSettings:
    """The width of the convolution and the weights of the legs, where they win."""
    total = len(collections)
    scanned = scan_questions(
        llm,
        profile,
        [c for c in collections if c.questions[0].evidence],
        on_question=lambda done: on_progress("scanning questions", done, total),
    )
    if len(scanned) < 2:  # passages may be labelled, but no evidence in them
        return settings
    settings = fit_width(scanned, settings)
    fitted = fit_legs(
        Engine(llm, profile),
        scanned,
        settings,
        seed=seed,
        on_question=lambda done: on_progress("weighing legs", done, total),
    )
    if not fitted.wins:
        return settings
    return settings.model_copy(update={"fusion": fitted.learned})
