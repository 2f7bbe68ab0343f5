"""What calibration reads from a profile, and the profile it makes."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import InputError
from s3_retriever.paths import bound
from s3_retriever.profiles.card import Head, ProfileCard
from s3_retriever.profiles.cards import find_profile
from s3_retriever.profiles.profile import Profile
from s3_retriever.profiles.query_adapter import ADAPTER_FILE, QueryAdapter
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.settings import RetrieveSettings

__all__ = ["Position", "coded_heads", "refuse_folder", "site_of", "train_command", "write_profile"]

Position = tuple[int, int]
"""A layer and a query head of it."""


def coded_heads(card: ProfileCard) -> tuple[Position, ...]:
    """Query heads that read a key head with an autoencoder, in order."""
    group = card.n_heads // card.n_kv_heads
    return tuple(
        sorted(
            (hookpoint.layer, head)
            for hookpoint in card.hookpoints
            for kv_head in hookpoint.kv_heads
            for head in range(kv_head * group, (kv_head + 1) * group)
        )
    )


def site_of(card: ProfileCard, position: Position) -> Position:
    """The layer and the key head that a query head reads."""
    layer, head = position
    return layer, head // (card.n_heads // card.n_kv_heads)


def train_command(model: str, card: ProfileCard, heads: Sequence[Position]) -> str:
    """The command that makes a profile which codes what ``heads`` read; sizes stay as they are."""
    sites: dict[int, list[int]] = {}
    for layer, kv_head in sorted({site_of(card, head) for head in heads}):
        sites.setdefault(layer, []).append(kv_head)
    layers = ",".join(f"{layer}:{'+'.join(map(str, kv))}" for layer, kv in sites.items())
    command = ["s3-retriever", "train", "--model", model, "--layers", layers]
    command += ["--heads", ",".join(f"{layer}.{head}" for layer, head in heads)]
    command += ["--latents", str(card.n_latents), "--k", str(card.k)]
    command += ["--bos" if card.bos else "--no-bos"]
    if card.chunk_prefix != ProfileCard.model_fields["chunk_prefix"].default:
        command += ["--prefix", card.chunk_prefix]
    return f"{shlex.join(command)} --corpus TEXT --out FOLDER"


def refuse_folder(out: Path) -> None:
    """Make sure that a new profile can be written to ``out`` and overwrites nothing.

    Raises:
        InputError: there is something, or the folder above is missing.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{brief(out)} exists; give --out a new folder")
    if not out.absolute().parent.is_dir():
        raise InputError(f"{brief(out)} cannot be written: its folder does not exist")


def write_profile(
    profile: str | Path,
    out: Path,
    *,
    heads: Sequence[Head] | None = None,
    adapter: QueryAdapter | None = None,
    retrieve: RetrieveSettings | None = None,
    presets: Mapping[str, str] | None = None,
    report: Mapping[str, Any] | None = None,
) -> Profile:
    """Copy a profile with what was learned for it; what is not given stays as it is.

    The autoencoders are the same files, so an index that was made with one of the two profiles
    opens with the other. An adapter is for the heads it was trained with: other heads drop it.

    Args:
        profile: a shipped name or a profile's folder.
        out: the new profile's folder, new or empty.
        heads: that score tokens.
        adapter: of their queries.
        retrieve: settings between a question and its spans.
        presets: the mode to use by type of device.
        report: the report card.

    Raises:
        ProfileError: the profile cannot be read.
        InputError: ``out`` holds something, or ``heads`` read keys that are not coded.
    """
    out = bound(out)
    refuse_folder(out)
    loaded = Profile.load(profile)
    kept = adapter or (loaded.adapter if heads is None else None)
    record = loaded.card.model_dump(mode="json")
    if heads is not None:
        record["heads"] = [head.model_dump() for head in heads]
    if retrieve is not None:
        record["retrieve"] = retrieve.model_dump(mode="json")
    if presets is not None:
        record["presets"] = dict(presets)
    if report is not None:
        record["report"] = dict(report)
    try:
        ProfileCard.model_validate(record)
    except ValueError as e:
        raise InputError(
            f"these heads do not fit profile {quoted(loaded.card.name)}: {why(e)}"
        ) from e
    source = find_profile(profile)
    for hookpoint in loaded.card.hookpoints:
        shutil.copytree(source / hookpoint.folder, out / hookpoint.folder)
    record["query_adapter_sha256"] = None
    if kept is not None:
        kept.save(out / ADAPTER_FILE)
        record["query_adapter_sha256"] = sha256_of(out / ADAPTER_FILE)
    text = json.dumps(record, indent=2) + "\n"
    (out / "profile.json").write_text(text, encoding="utf-8")
    return Profile.load(out)
