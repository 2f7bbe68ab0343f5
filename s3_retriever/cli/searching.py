"""What ``s3-retriever search`` opens: no more of the model than the mode takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from s3_retriever.cli.display import waiting
from s3_retriever.cli.opening import Place, existing_manifest, open_engine, profile_of, shown
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.profiles.cards import load_card
from s3_retriever.quoting import brief
from s3_retriever.types import Span

__all__ = ["Searcher", "open_searcher"]


@dataclass(frozen=True)
class Searcher:
    """An index that can be asked in one mode."""

    profile: str
    """Its name."""
    retrieve: Callable[..., Sequence[Span]]
    """Takes the arguments of :meth:`~s3_retriever.Engine.retrieve`."""
    count_tokens: Callable[[str], int]
    """Of a text, as the model counts."""


def open_searcher(
    place: Place, profile: str | None, model: str | None, device: str | None, mode: str | None
) -> Searcher:
    """Open an index to be asked once.

    Args:
        place: of the index.
        profile: a shipped name or a folder; by default the index's own.
        model: other weights of the profile's model.
        device: by default the best.
        mode: in which it will be asked; by default the profile's for the device.
    """
    from s3_retriever.retrieval.presets import preset_named

    profile = profile or profile_of(existing_manifest(place), place)
    card = load_card(profile)
    part = preset_named(mode or _default_mode(card, device)).part_of_model
    if part == "tokenizer" and (found := _words_alone(place, card, model)):
        return found
    engine = open_engine(place, profile, model, device, first_layers=part != "all")
    return Searcher(engine.profile.card.name, engine.retrieve, engine.llm.count_tokens)


def _default_mode(card: ProfileCard, device: str | None) -> str:
    if device is None:
        from s3_retriever.models.loading import best_device

        device = best_device().type
    return card.presets.get(device.partition(":")[0], "hybrid")


def _words_alone(place: Place, card: ProfileCard, model: str | None) -> Searcher | None:
    """What searches without the model; ``None`` where its tokens have to be told by transformers.

    A known text has to be cut as it was when the profile was made.
    """
    with waiting(f"opening {brief(shown(place))} ..."):
        from s3_retriever.models.tokens_only import TokensOnly
        from s3_retriever.profiles.profile import Profile
        from s3_retriever.retrieval.pipeline import Retriever
        from s3_retriever.storage.stores import open_documents

        revision = card.revision if model is None else None
        tokens = TokensOnly.load(model or card.model, revision=revision)
        test = card.self_test
        if tokens is None or test is None:
            return None
        if tuple(tokens.tokenize(test.text).ids.tolist()) != test.ids:
            return None
        profile = Profile(card, ())
        view = open_documents(place, card).view
    search = partial(
        Retriever(tokens, profile).retrieve, view, view.search, settings=profile.default_settings
    )
    return Searcher(card.name, search, tokens.count_tokens)
