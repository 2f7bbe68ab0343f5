"""``s3-retriever-bench scan``, ``reading`` and ``index``: speed, and the memory that it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.options import DeviceOption, JsonOption, ModelOption, ProfileOption
from s3_retriever.storage.stores import need_postgres

__all__ = ["index", "reading", "scan"]


def scan(
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    tokens: Annotated[int, typer.Option(min=1, help="Length of the timed document.")] = 8192,
    repeats: Annotated[int, typer.Option(min=1, help="Timed runs of each.")] = 3,
    lengths: Annotated[
        str, typer.Option(help="Document lengths for the memory measurement, in tokens.")
    ] = "4096,16384,65536",
    chunk_tokens: Annotated[int, typer.Option(min=16, help="Tokens read at once.")] = 2048,
    as_json: JsonOption = False,
) -> None:
    """Compare the scan's tokens per second with the model's own prefill, in one run."""
    from s3_retriever.cli.demo import sample_documents
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.profiles.profile import Profile
    from s3_retriever.settings import ScanSettings
    from s3_retriever_bench.scan_bench import bench_scan

    wanted = _numbers("--lengths", lengths)
    with waiting("loading the model ...") as say:
        loaded = Profile.load(profile or DEFAULT_PROFILE)
        llm = TransformersModel.load(model or loaded.card.model, device=device)
        loaded.check_llm(llm)
        say("measuring; the machine should be idle ...")
        result = bench_scan(
            llm,
            loaded,
            "\n\n".join(document.text for document in sample_documents()),
            tokens=tokens,
            repeats=repeats,
            lengths=wanted,
            settings=ScanSettings(chunk_tokens=chunk_tokens),
        )
    if as_json:
        typer.echo(json.dumps(result))
        return
    console.print(
        f"scan {result['scan_tokens_per_s']:,.0f} tokens/s, "
        f"prefill {result['prefill_tokens_per_s']:,.0f} tokens/s: "
        f"{result['ratio']:.2f} times as fast, ending at layer {result['last_layer']} of "
        f"{result['n_layers']} on {result['device']} ({result['dtype']}); "
        f"{result['coding_share']:.1%} of a scan is the autoencoders",
        soft_wrap=True,
    )
    for length, peak in result["peak_memory_bytes"].items():
        console.print(f"peak memory for {int(length):,} tokens: {peak / 1e6:,.0f} MB")
    console.print(f"({result['memory']}, above what was in use before)")


def reading(
    tokens: Annotated[int, typer.Option(min=1, help="Most tokens of paragraphs.")] = 1800,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time questions on paragraphs that the model has not read, and on those it has."""
    from s3_retriever.cli.demo import sample_questions, sample_text
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.profiles.profile import Profile
    from s3_retriever_bench.reading_bench import bench_reading

    with waiting("loading the model ...") as say:
        loaded = Profile.load(profile or DEFAULT_PROFILE)
        llm = TransformersModel.load(model or loaded.card.model, device=device)
        loaded.check_llm(llm)
        say("measuring; the machine should be idle ...")
        questions = [sample.question for sample in sample_questions()]
        result = bench_reading(llm, loaded, sample_text(), questions, tokens=tokens)
    if as_json:
        typer.echo(json.dumps(result))
        return
    console.print(
        f"{result['tokens']:,} tokens of paragraphs: {result['first_s']} s, and "
        f"{result['again_s']} s when the model has read them ({result['ratio']:.2f} of it, "
        f"{result['read_anew']:.0%} read anew), on {result['device']} ({result['dtype']})",
        highlight=False,
        soft_wrap=True,
    )


def index(
    tokens: Annotated[
        list[int], typer.Option(min=1000, help="Size of the index; may be given again.")
    ],
    corpus: Annotated[
        Optional[list[Path]],
        typer.Argument(help="Files and folders to read. Default: the shipped samples."),
    ] = None,
    scan_tokens: Annotated[
        int, typer.Option(min=1000, help="Tokens to read with the model; the rest is drawn.")
    ] = 300_000,
    profile: ProfileOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    store: Annotated[
        Optional[str],
        typer.Option(
            metavar="URL",
            help="Compare with an index in PostgreSQL (postgresql://...), in a schema of its own "
            "that is dropped at the end.",
        ),
    ] = None,
    clients: Annotated[
        str, typer.Option(help="With --store: numbers of processes that ask at once.")
    ] = "1,8",
    as_json: JsonOption = False,
) -> None:
    """Measure building, opening and searching an index, and what its candidates miss."""
    import tempfile

    from s3_retriever.cli.demo import sample_documents, sample_questions
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.profiles.profile import Profile
    from s3_retriever.readers import read_files
    from s3_retriever_bench.asking import Questions
    from s3_retriever_bench.index_bench import bench_index, scan_source

    if store:  # else psycopg need not be there
        need_postgres()
        from s3_retriever_bench.store_bench import bench_store
    n_clients = _numbers("--clients", clients)
    documents = read_files(corpus).documents if corpus else sample_documents()
    with waiting("loading the model ...") as say:
        name = profile or DEFAULT_PROFILE
        loaded = Profile.load(name)
        llm = TransformersModel.load(model or loaded.card.model, device=device)
        loaded.check_llm(llm)
        say(f"reading {scan_tokens:,} tokens ...")
        source = scan_source(
            llm,
            loaded,
            (document.text for document in documents),
            tokens=scan_tokens,
            questions=[] if corpus else [q.question for q in sample_questions()],
            n_questions=90 if store else 50,
        )
        texts = [text for text, _ in source.questions]
        questions = Questions.read(llm, loaded, name, texts) if store else None
        for n in tokens:
            say(f"measuring {n:,} tokens; the machine should be idle ...")
            with tempfile.TemporaryDirectory(prefix="s3-retriever-bench-") as folder:
                place = Path(folder) / "index"
                if store and questions:
                    result = bench_store(loaded, source, questions, place, store, n, n_clients)
                else:
                    result = bench_index(loaded, name, source, place, n)
            if as_json:
                typer.echo(json.dumps(result))
            elif store:
                _show_stores(result)
            else:
                _show_index(result)


def _numbers(option: str, given: str) -> list[int]:
    """What an option of numbers says.

    Raises:
        InputError: something else.
    """
    from s3_retriever.errors import InputError

    if not re.fullmatch(r"[1-9][0-9]*(,[1-9][0-9]*)*", given):
        raise InputError(f"{option} takes numbers such as 1,8 or 4096, not {given!r}")
    return [int(number) for number in given.split(",")]


def _show_index(result: dict[str, Any]) -> None:
    size = result["bytes_per_token"]
    console.print(
        f"{result['tokens']:,} tokens: built at {result['build_tokens_per_s']:,} tokens/s, "
        f"{size['forward']} + {size['tantivy']} bytes a token; search p50 {result['p50_ms']} ms, "
        f"p95 {result['p95_ms']} ms; {result['candidate_recall']:.1%} of the exhaustive best; "
        f"opened in {result['open_s']} s with {result['open_rss_bytes'] / 1e6:,.0f} MB",
        highlight=False,
        soft_wrap=True,
    )


def _show_stores(result: dict[str, Any]) -> None:
    console.print(
        f"{result['tokens']:,} tokens in {result['documents']:,} documents", highlight=False
    )
    for name, found in result["stores"].items():
        sizes = " + ".join(f"{size} {part}" for part, size in found["bytes_per_token"].items())
        console.print(
            f"{name}: built at {found['build_tokens_per_s']:,} tokens/s, {sizes} bytes a token",
            highlight=False,
            soft_wrap=True,
        )
        for n, times in found["clients"].items():
            console.print(
                f"  {n} asking: fast p50 {times['fast_p50_ms']} ms, p95 {times['fast_p95_ms']} ms; "
                f"its search p50 {times['search_p50_ms']} ms, p95 {times['search_p95_ms']} ms; "
                f"{times['questions_per_s']} questions/s",
                highlight=False,
                soft_wrap=True,
            )
    for n, ratio in result["ratio"].items():
        console.print(
            f"PostgreSQL over the folder, {n} asking: fast {ratio['fast']}, "
            f"its search {ratio['search']}",
            highlight=False,
        )
