"""``s3-retriever-bench``: the analyses of the published work, a command and a picture each."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, progress_bar, waiting
from s3_retriever.cli.options import (
    DeviceOption,
    FiguresOption,
    ModelOption,
    ProfileOption,
    SeedOption,
    check_outputs,
    parse_names,
    parse_numbers,
)
from s3_retriever.errors import InputError

if TYPE_CHECKING:
    from s3_retriever.engine import Engine

__all__ = ["ANALYSES"]

PlotOption = Annotated[Optional[Path], typer.Option("--plot", help="Draw them (.png, .svg).")]
MultihopOption = Annotated[Path, typer.Option(help="Multi-hop records with labelled evidence.")]


def consistency(
    data: MultihopOption,
    sizes: Annotated[str, typer.Option(help="Tokens of a chunk.")] = "512,1024,2048,4096",
    tokens: Annotated[
        Optional[int], typer.Option(min=64, help="Of a document. Default: what the model takes.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Documents.")] = 2,
    budget: Annotated[int, typer.Option(min=1, help="Tokens of retrieved spans.")] = 512,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    plot_out: PlotOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Compare reading in chunks with one forward pass (Table 9 of the paper)."""
    from s3_retriever.labels.datasets import load_collections
    from s3_retriever_bench.analyses.consistency import measure_consistency
    from s3_retriever_bench.analyses.consistency_page import consistency_page, plot_consistency
    from s3_retriever_bench.analyses.joined import join

    wanted = parse_numbers(sizes, "--sizes")
    _check(json_out, plot_out)
    collections = load_collections(data)
    random.Random(seed).shuffle(collections)  # noqa: S311  (no secret)
    engine = _engine(profile, model, device)
    card = engine.profile.card
    most = engine.llm.window - len(engine.llm.prefix_ids(card.chunk_prefix, bos=card.bos))
    if tokens is not None and tokens > most:
        raise InputError(f"--tokens: the model takes {most} behind the profile's prefix")
    joined = join(collections, engine.llm, tokens or most)
    documents = [document for document, _ in zip(joined, range(limit), strict=False)]
    if not documents:
        raise InputError(f"no context of {data} fits a document of {tokens or most} tokens")
    with progress_bar() as bar:
        task = bar.add_task("readings", total=None, note="")
        found = measure_consistency(
            engine,
            documents,
            sizes=wanted,
            budget=budget,
            seed=seed,
            on_pass=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result = {"data": data.name, "seed": seed, "profile": card.name, **found}
    if plot_out:
        plot_consistency(result, plot_out)
    _show(result, consistency_page(result), json_out)


def size(
    corpus: Annotated[
        Optional[list[Path]],
        typer.Argument(help="Files and folders to read. Default: the shipped samples."),
    ] = None,
    tokens: Annotated[int, typer.Option(min=64, help="To read; fewer if the text ends.")] = 32_768,
    ks: Annotated[
        Optional[str],
        typer.Option("--k", help="Latents a token, e.g. 4,8. Default: 1/4, 1/2 and all there are."),
    ] = None,
    json_out: FiguresOption = None,
    plot_out: PlotOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Compare an index's bytes a token with the published 4 x layers x k."""
    from s3_retriever.cli.demo import sample_documents
    from s3_retriever.readers import read_files
    from s3_retriever_bench.analyses.size import measure_sizes, plot_sizes, size_page
    from s3_retriever_bench.index_bench import scan_source

    wanted = parse_numbers(ks, "--k") if ks else None
    _check(json_out, plot_out)
    documents = read_files(corpus).documents if corpus else sample_documents()
    engine = _engine(profile, model, device)
    texts = (document.text for document in documents)
    with waiting(f"reading {tokens:,} tokens ..."):
        source = scan_source(engine.llm, engine.profile, texts, tokens=tokens, n_questions=0)
    with progress_bar() as bar:
        task = bar.add_task("indexes", total=None, note="")
        found = measure_sizes(
            engine.profile,
            source.coded,
            ks=wanted,
            on_index=lambda done, total: bar.update(task, completed=done, total=total),
        )
    result = {"profile": engine.profile.card.name, **found}
    if plot_out:
        plot_sizes(result, plot_out)
    _show(result, size_page(result), json_out)


def figure(
    question: Annotated[
        Optional[str], typer.Option(help="A question of your own, asked of --context.")
    ] = None,
    context: Annotated[Optional[Path], typer.Option(help="A text file for --question.")] = None,
    data: Annotated[
        Optional[Path], typer.Option(help="Multi-hop records from which five more are chosen.")
    ] = None,
    limit: Annotated[int, typer.Option(min=5, help="Questions to choose among.")] = 40,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    plot_out: PlotOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Draw where the model looks, beside dense sentence scores, wins and losses both."""
    from s3_retriever.labels.datasets.records import read_text
    from s3_retriever_bench.analyses.asked import load_contexts
    from s3_retriever_bench.analyses.figure import (
        RULE,
        as_record,
        choose,
        figure_page,
        own_question,
        plot_figure,
    )

    if (question is None) != (context is None):
        raise InputError("--question and --context belong together")
    if question is None and data is None:
        raise InputError("give --question and --context, or --data, or all three")
    _check(json_out, plot_out)
    chosen = [own_question(question, read_text(context))] if question and context else []
    collections = load_contexts(data, limit=limit, seed=seed) if data else []
    engine = _engine(profile, model, device)
    everything = None
    if data:
        with progress_bar() as bar:
            task = bar.add_task("questions", total=len(collections), note="")
            found, everything = choose(
                engine, collections, lambda done: bar.update(task, completed=done)
            )
        chosen += found
    with waiting("drawing ..."):
        records = [as_record(engine, one) for one in chosen]
        if plot_out:
            plot_figure(engine, chosen, plot_out)
    result = {
        "data": data.name if data else None,
        "seed": seed,
        "profile": engine.profile.card.name,
        "rule": RULE,
        "all": everything,
        "chosen": records,
    }
    _show(result, figure_page(everything, records), json_out)


def fluency(
    data: Annotated[Path, typer.Option(help="A LongBench file, or multi-hop records.")],
    tasks: Annotated[
        Optional[str], typer.Option(help="Of a LongBench file. Default: all that ask questions.")
    ] = None,
    budget: Annotated[int, typer.Option(min=1, help="Tokens of a compressed context.")] = 256,
    limit: Annotated[int, typer.Option(min=1, help="Questions; of LongBench, of each task.")] = 40,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    plot_out: PlotOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Compare next token and gold answer after compressed and full contexts (Table 3)."""
    from s3_retriever_bench.analyses.asked import QA_TASKS, load_asked
    from s3_retriever_bench.analyses.fluency import fluency_page, measure_fluency, plot_fluency

    wanted = parse_names(tasks, QA_TASKS, "tasks")
    _check(json_out, plot_out)
    records = load_asked(data, tasks=wanted, limit=limit, seed=seed)
    engine = _engine(profile, model, device)
    with progress_bar() as bar:
        task = bar.add_task("questions", total=len(records), note="")
        found = measure_fluency(
            engine,
            records,
            budget=budget,
            seed=seed,
            on_record=lambda done: bar.update(task, completed=done),
        )
    result = {"data": data.name, "seed": seed, "profile": engine.profile.card.name, **found}
    if plot_out:
        plot_fluency(result, plot_out)
    _show(result, fluency_page(result), json_out)


def layers(
    data: Annotated[list[Path], typer.Option(help="Multi-hop records; may be given again.")],
    budget: Annotated[int, typer.Option(min=1, help="Tokens of a shortened context.")] = 256,
    limit: Annotated[int, typer.Option(min=1, help="Questions of each file.")] = 20,
    seed: SeedOption = 0,
    json_out: FiguresOption = None,
    plot_out: PlotOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure what each further layer of codes adds (Table 2)."""
    from s3_retriever_bench.analyses.asked import load_contexts
    from s3_retriever_bench.analyses.layers import layers_page, measure_layers, plot_layers

    _check(json_out, plot_out)
    drawn = {path.stem: load_contexts(path, limit=limit, seed=seed) for path in data}
    engine = _engine(profile, model, device)
    with progress_bar() as bar:
        task = bar.add_task("questions", total=sum(map(len, drawn.values())), note="")
        found = measure_layers(
            engine,
            drawn,
            budget=budget,
            seed=seed,
            on_question=lambda done: bar.update(task, completed=done),
        )
    result = {"seed": seed, "profile": engine.profile.card.name, **found}
    if plot_out:
        plot_layers(result, plot_out)
    _show(result, layers_page(result), json_out)


def cost(
    lengths: Annotated[
        str, typer.Option(help="Tokens of the prompt: document, question and template.")
    ] = "1024,2048,4096,8000",
    systems: Annotated[
        Optional[str], typer.Option(help="Names with commas between. Default: all.")
    ] = None,
    questions: Annotated[int, typer.Option(min=1, help="Asked of the same document.")] = 10,
    rereads: Annotated[
        int,
        typer.Option(
            min=1,
            help="Asked of systems that read all of it each time; their average is over these.",
        ),
    ] = 2,
    budget: Annotated[int, typer.Option(min=65, help="Tokens kept by compression.")] = 512,
    new_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 16,
    clock: Annotated[
        str,
        typer.Option(
            help="wall, or cpu: the processor's seconds, where other work disturbs the machine."
        ),
    ] = "wall",
    json_out: FiguresOption = None,
    plot_out: PlotOption = None,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure seconds and peak memory by context length, each system in its own process."""
    from s3_retriever.cli.demo import sample_documents, sample_questions
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.text import find_bounds
    from s3_retriever_bench.analyses.cost import (
        CLOCKS,
        SYSTEMS,
        Plan,
        cost_page,
        measure_costs,
        plot_costs,
    )

    wanted = parse_numbers(lengths, "--lengths")
    names = parse_names(systems, SYSTEMS, "systems")
    [seconds] = parse_names(clock, CLOCKS, "clock")
    _check(json_out, plot_out)
    documents = sample_documents()
    asked = [sample.question for sample in sample_questions()]
    for document in documents:  # a first sentence stands for a question: what it costs is the same
        asked += [document.text[a:b] for a, b in find_bounds(document.text).sentences[:1]]
    if questions > len(asked):
        raise InputError(f"--questions: there are {len(asked)} different ones")
    plan = Plan(
        profile=profile or DEFAULT_PROFILE,
        model=model,
        device=device,
        text="\n\n".join(document.text for document in documents),
        questions=tuple(asked[:questions]),
        rereads=rereads,
        budget=budget,
        max_new_tokens=new_tokens,
    )
    with progress_bar() as bar:
        task = bar.add_task("processes", total=len(wanted) * len(names), note="")
        rows = measure_costs(
            plan, wanted, names, on_process=lambda done, _: bar.update(task, completed=done)
        )
    result = {
        "profile": plan.profile,
        "budget": budget,
        "questions": questions,
        "max_new_tokens": new_tokens,
        "clock": seconds,
        "rows": rows,
    }
    if plot_out:
        plot_costs(result, plot_out)
    _show(result, cost_page(result), json_out)


ANALYSES = (consistency, cost, figure, fluency, layers, size)
"""The commands, under their functions' names."""


def _check(json_out: Path | None, plot_out: Path | None) -> None:
    """What can fail is tried before minutes of measuring, not after them."""
    from s3_retriever_bench.plot import require_matplotlib

    check_outputs(json_out, plot_out)
    if plot_out:
        require_matplotlib()


def _engine(profile: str | None, model: str | None, device: str | None) -> Engine:
    from s3_retriever.engine import Engine
    from s3_retriever.profiles.cards import DEFAULT_PROFILE

    with waiting("loading the model ..."):
        return Engine.from_profile(profile or DEFAULT_PROFILE, model=model, device=device)


def _show(result: Mapping[str, Any], page: str, json_out: Path | None) -> None:
    if json_out:
        json_out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(page, soft_wrap=True, markup=False, highlight=False)
