"""Presets: which legs find spans, and what each counts. A mode is a preset's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from s3_retriever.errors import InputError
from s3_retriever.quoting import brief, quoted
from s3_retriever.retrieval.legs.registry import leg_named
from s3_retriever.settings import RetrieveSettings

__all__ = [
    "ModeName",
    "Preset",
    "mode_names",
    "preset_named",
    "register_preset",
    "unregister_preset",
]


@dataclass(frozen=True)
class Preset:
    """A way of retrieving.

    Example:
        >>> preset_named("fast").weights(RetrieveSettings())["passages"]
        0.5
    """

    name: str
    legs: Mapping[str, float]
    """Weights by leg, in the order in which they are asked."""
    look_up_words: bool = True
    """Whether blocks with the question's words are candidates; else features look at all."""
    summary: str = ""
    """One phrase for the command line's help."""

    @property
    def part_of_model(self) -> Literal["tokenizer", "first layers", "all"]:
        """What of the model its legs take; of legs that the package does not have, all."""
        if self.legs.keys() <= {"bm25"}:
            return "tokenizer"
        return "first layers" if self.legs.keys() <= {*_FAST} else "all"

    def weights(self, settings: RetrieveSettings) -> dict[str, float]:
        """Weights of the legs that are asked under some settings.

        Those of ``settings.fusion.weights`` count in place of the preset's own. A leg of weight 0
        is not asked; the weight of an only leg decides nothing and is the preset's own.

        Raises:
            InputError: the settings weigh a leg that is not known.
        """
        for leg in settings.fusion.weights:
            leg_named(leg)
        if len(self.legs) == 1:
            return dict(self.legs)
        weights = {leg: settings.fusion.weights.get(leg, own) for leg, own in self.legs.items()}
        return {
            leg: weight
            for leg, weight in weights.items()
            if weight and leg_named(leg).active(settings)
        }


_PRESETS: dict[str, Preset] = {}


def register_preset(preset: Preset) -> None:
    """Make a preset known under its name, as a mode of :meth:`~s3_retriever.Engine.retrieve`.

    One that had the name is replaced.

    Raises:
        InputError: a leg is not known, or stands before one that has to come before it.
    """
    legs = list(preset.legs)
    for at, name in enumerate(legs):
        if late := [leg for leg in leg_named(name).after if leg in legs[at:]]:
            raise InputError(
                f"preset {quoted(preset.name)}: {', '.join(late)} must precede {brief(name)}"
            )
    _PRESETS[preset.name] = preset


def unregister_preset(name: str) -> None:
    """Forget a preset; nothing happens if there is none of that name."""
    _PRESETS.pop(name, None)


def preset_named(name: str) -> Preset:
    """A preset by its name.

    Raises:
        InputError: there is none; lists those that are.
    """
    if name not in _PRESETS:
        raise InputError(f"mode must be one of {tuple(_PRESETS)}, not {quoted(name)}")
    return _PRESETS[name]


def _known(name: str) -> str:
    preset_named(name)
    return name


ModeName = Annotated[str, AfterValidator(_known)]
"""A preset's name as a field of pydantic's, checked where it is set."""


def mode_names() -> tuple[str, ...]:
    """Names of all presets."""
    return tuple(_PRESETS)


_FAST = {
    "features": 1.0,
    "bm25": 1.5,
    "lead_tail": 1.0,
    "pseudo_relevance_feedback": 1.0,
    "headings": 1.0,
    "passages": 0.5,
}

for _preset in (
    Preset(
        "hybrid",
        _FAST | {"query_likelihood": 1.5},
        summary="features and words, whose best passages the model reads again",
    ),
    Preset("fast", _FAST, summary="features and words"),
    Preset("features", {"features": 1.0}, look_up_words=False, summary="features alone"),
    Preset("bm25", {"bm25": 1.0}, summary="words alone, without the model"),
):
    register_preset(_preset)
