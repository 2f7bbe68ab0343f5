"""From a model and plain text to a profile: collect keys, train, measure, write.

The published recipe is the default; layers per model are those of the paper's Table 5.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import InputError
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.families import AttentionLayout
from s3_retriever.models.wheels import WHEELS
from s3_retriever.paths import bound
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.card import Head, Hookpoint, ProfileCard, hookpoint_folder
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.self_test import make_self_test
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.settings import SaeSettings, ScanSettings
from s3_retriever.training.autoencoders import measure, train
from s3_retriever.training.corpus import collect_keys, read_corpus

__all__ = [
    "PUBLISHED_LAYERS",
    "default_layers",
    "make_profile",
    "parse_heads",
    "parse_sites",
    "planned_card",
]

PUBLISHED_LAYERS = {
    "llama-3.1-8b": (0, 12, 16, 29),
    "mistral-7b": (0, 7, 23, 29),
    "qwen2-7b": (0, 6, 19, 26),
}
"""Layers that the paper reads, by a part of the model's name."""

Site = tuple[int, tuple[int, ...]]
Report = Callable[[str, int, int, float], None]


def default_layers(model: str) -> tuple[int, ...]:
    """The published layers of ``model``.

    Raises:
        InputError: the paper has none for it.
    """
    for name, layers in PUBLISHED_LAYERS.items():
        if name in model.lower():
            return layers
    raise InputError(
        f"the paper names no layers for {brief(model)}; give --layers, e.g. two in the middle third"
    )


def parse_sites(text: str, layout: AttentionLayout) -> list[Site]:
    """``"17,18"`` is layers with all their key heads, ``"17:1,18:0+2"`` with some of them.

    Raises:
        InputError: not of that form, outside the model, or something named twice.
    """
    sites: list[Site] = []
    for part in text.split(","):
        layer_text, _, heads_text = part.strip().partition(":")
        try:
            layer = int(layer_text)
            heads = tuple(int(h) for h in heads_text.split("+")) if heads_text else None
        except ValueError as e:
            raise InputError(f"--layers takes e.g. 17,18 or 17:1,18:0+2, not {quoted(text)}") from e
        chosen = tuple(range(layout.n_kv_heads)) if heads is None else heads
        if not 0 <= layer < layout.n_layers or any(not 0 <= h < layout.n_kv_heads for h in chosen):
            raise InputError(
                f"{quoted(part)} is outside the model: {layout.n_layers} layers, "
                f"{layout.n_kv_heads} key heads, counted from 0"
            )
        sites.append((layer, chosen))
    named = [(layer, head) for layer, chosen in sites for head in chosen]
    if len(set(named)) < len(named):
        raise InputError(f"{quoted(text)} names the same key head of a layer twice")
    return sites


def parse_heads(text: str) -> tuple[Head, ...]:
    """``"17.3,18.6"`` is head 3 of layer 17 and head 6 of layer 18.

    Raises:
        InputError: not of that form.
    """
    heads = []
    for part in filter(None, text.split(",")):
        layer, _, head = part.strip().partition(".")
        if not (layer.isdecimal() and head.isdecimal()):
            raise InputError(f"--heads takes e.g. 17.3,18.6, not {quoted(text)}")
        heads.append(Head(layer=int(layer), head=int(head)))
    return tuple(heads)


def make_profile(
    llm: LanguageModel,
    *,
    name: str,
    corpus: Sequence[Path],
    held_out: Sequence[Path],
    sites: Sequence[Site],
    heads: Sequence[Head],
    settings: SaeSettings,
    scan: ScanSettings,
    prefix: str,
    bos: bool,
    max_tokens: int | None,
    out: Path,
    command: str,
    report: Report = lambda stage, done, total, value: None,
) -> ProfileCard:
    """Train an autoencoder for each of ``sites`` and write a profile's folder.

    Work in progress (keys, checkpoints) is kept in ``out/work`` and removed at the end; a run that
    was stopped goes on from there.

    Args:
        llm: the model.
        name: the profile's name.
        corpus: text files to train on.
        held_out: text files to measure on; none takes the last twentieth of the corpus.
        sites: layers and key heads.
        heads: query heads that will score tokens; may be none.
        settings: the autoencoders.
        scan: chunk and batch sizes.
        prefix: read before each chunk and left out; takes the attention sinks.
        bos: whether the beginning-of-text token stands before prefix and question.
        max_tokens: about as many tokens of the corpus are used; ``None`` uses all.
        out: the folder to write.
        command: recorded in the card.
        report: called with the stage, steps done, their total and the tokens or the FVU.

    Raises:
        InputError: too little text, or ``heads`` read keys that no site codes.
    """
    out = bound(out)
    work = out / "work"
    _refuse_early(llm, name, sites, heads, settings, prefix, bos)

    def keys(files: Sequence[Path], stage: str, limit: int | None) -> list[np.ndarray]:
        return collect_keys(
            llm,
            read_corpus(files),
            sites,
            work / stage,
            prefix=prefix,
            bos=bos,
            scan=scan,
            max_tokens=limit,
            on_tokens=lambda done, total: report(stage, done, total, done),
        )

    rows = keys(corpus, "scan", max_tokens)
    if held_out:
        kept = keys(held_out, "held-out", None)
    else:
        cut = len(rows[0]) - max(1, len(rows[0]) // 20)
        rows, kept = [r[:cut] for r in rows], [r[cut:] for r in rows]
    if len(kept[0]) < 2:
        raise InputError("too little text is held out to measure on; give more of it")
    hookpoints, saes = [], []
    for (layer, kv_heads), trained_on, measured_on in zip(sites, rows, kept, strict=True):
        folder = hookpoint_folder(layer, kv_heads)

        def on_step(step: int, fvu: float, folder: str = folder) -> None:
            report(folder, step, settings.steps, fvu)

        sae = train(
            trained_on,
            settings,
            work / f"{folder}.safetensors",
            device=torch.device(str(llm.describe()["device"])),
            on_step=on_step,
        )
        sae.save(out / folder)
        stored = TopKSae.load(out / folder).to(str(llm.describe()["device"]))  # as float16 made it
        saes.append(stored)
        quality = measure(stored, measured_on)
        hookpoints.append(
            Hookpoint(
                layer=layer,
                kv_heads=kv_heads,
                activation_scale=quality.activation_scale,
                fvu=round(quality.fvu, 4),
                dead_fraction=round(quality.dead_fraction, 4),
                sha256=sha256_of(out / folder / "sae.safetensors"),
            )
        )
    card = _card(llm, name, hookpoints, heads, settings, prefix, bos, command, len(rows[0]))
    latents_of = partial(Profile(card, tuple(saes)).latents_of, llm)
    card = card.model_copy(update={"self_test": make_self_test(llm, latents_of)})
    (out / "profile.json").write_text(
        json.dumps(card.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8"
    )
    shutil.rmtree(work)
    return card


def _refuse_early(
    llm: LanguageModel,
    name: str,
    sites: Sequence[Site],
    heads: Sequence[Head],
    settings: SaeSettings,
    prefix: str,
    bos: bool,
) -> None:
    """Raise InputError for what would otherwise fail after hours of work."""
    sizes = {settings.latents_for(len(kv) * llm.layout.head_dim) for _, kv in sites}
    if len(sizes) > 1:
        raise InputError(
            "--layers with different numbers of key heads need --latents: "
            "every autoencoder of a profile has as many latents"
        )
    if settings.k > min(sizes):
        raise InputError(f"--k {settings.k} is more than the {min(sizes)} latents")
    planned_card(llm, name, sites, heads, settings, prefix=prefix, bos=bos)


def planned_card(
    llm: LanguageModel,
    name: str,
    sites: Sequence[Site],
    heads: Sequence[Head],
    settings: SaeSettings,
    *,
    prefix: str = ProfileCard.model_fields["chunk_prefix"].default,
    bos: bool,
) -> ProfileCard:
    """The card of a profile whose autoencoders are not trained yet: how texts will be read.

    Raises:
        InputError: the sites and heads do not fit together.
    """
    planned = [
        Hookpoint(
            layer=layer,
            kv_heads=kv_heads,
            activation_scale=1.0,
            fvu=0.0,
            dead_fraction=0.0,
            sha256="0" * 64,
        )
        for layer, kv_heads in sites
    ]
    return _card(llm, name, planned, heads, settings, prefix, bos, command="", n_tokens=0)


def _card(
    llm: LanguageModel,
    name: str,
    hookpoints: Sequence[Hookpoint],
    heads: Sequence[Head],
    settings: SaeSettings,
    prefix: str,
    bos: bool,
    command: str,
    n_tokens: int,
) -> ProfileCard:
    layout = llm.layout
    try:
        return ProfileCard(
            name=name,
            model=llm.name,
            family=layout.family,
            n_layers=layout.n_layers,
            n_heads=layout.n_heads,
            n_kv_heads=layout.n_kv_heads,
            head_dim=layout.head_dim,
            tokenizer_sha256=llm.tokenizer_hash(),
            chunk_prefix=prefix,
            bos=bos,
            k=settings.k,
            n_latents=settings.latents_for(len(hookpoints[0].kv_heads) * layout.head_dim),
            hookpoints=tuple(hookpoints),
            # a model that comes rounded to four bits where no hub answers has two right digests
            weights_sha256=None
            if llm.name in WHEELS
            else llm.weights_digest(max(h.layer for h in hookpoints)),
            heads=tuple(heads),
            training={
                "command": command,
                "tokens": n_tokens,
                "torch": torch.__version__,
                "device": torch.device(str(llm.describe()["device"])).type,
                **settings.model_dump(mode="json"),
            },
        )
    except ValueError as e:
        raise InputError(f"these layers and heads do not fit together: {why(e)}") from e
