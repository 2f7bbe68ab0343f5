"""``s3-retriever-bench scan``, ``reading`` and ``index``: speed, and the memory that it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from s3_retriever.cli.display import console, waiting
from s3_retriever.cli.options import DeviceOption, JsonOption, ModelOption, ProfileOption

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
    from s3_retriever.errors import InputError
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.profiles.profile import Profile
    from s3_retriever.settings import ScanSettings
    from s3_retriever_bench.scan_bench import bench_scan

    try:
        wanted = [int(length) for length in lengths.split(",")]
    except ValueError as e:
        raise InputError(f"--lengths takes e.g. 4096,65536, not {lengths!r}") from e
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
        f"{result['n_layers']} on {result['device']} ({result['dtype']})",
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
    as_json: JsonOption = False,
) -> None:
    """Measure building, opening and searching an index, and what its candidates miss."""
    import tempfile

    from s3_retriever.cli.demo import sample_documents, sample_questions
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.profiles.cards import DEFAULT_PROFILE
    from s3_retriever.profiles.profile import Profile
    from s3_retriever.readers import read_files
    from s3_retriever_bench.index_bench import bench_index, scan_source

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
        )
        for n in tokens:
            say(f"measuring {n:,} tokens; the machine should be idle ...")
            with tempfile.TemporaryDirectory(prefix="s3-retriever-bench-") as folder:
                result = bench_index(loaded, name, source, Path(folder) / "index", n)
            if as_json:
                typer.echo(json.dumps(result))
            else:
                _show_index(result)


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
