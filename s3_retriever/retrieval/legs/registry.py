"""All legs by name. A new one is a file beside this one and a line here, or a call from outside."""

from __future__ import annotations

from s3_retriever.errors import InputError
from s3_retriever.quoting import quoted
from s3_retriever.retrieval.legs.base import Leg
from s3_retriever.retrieval.legs.bm25 import BM25
from s3_retriever.retrieval.legs.features import Features
from s3_retriever.retrieval.legs.headings import Headings
from s3_retriever.retrieval.legs.lead_tail import LeadTail
from s3_retriever.retrieval.legs.passages import Passages
from s3_retriever.retrieval.legs.pseudo_relevance_feedback import PseudoRelevanceFeedback
from s3_retriever.retrieval.legs.query_likelihood import QueryLikelihood

__all__ = ["leg_named", "leg_names", "register_leg", "unregister_leg"]

_LEGS: dict[str, Leg] = {}


def register_leg(leg: Leg) -> None:
    """Make a leg known under its name, so that presets can have it; an earlier one is replaced."""
    _LEGS[leg.name] = leg


def unregister_leg(name: str) -> None:
    """Forget a leg; nothing happens if there is none of that name."""
    _LEGS.pop(name, None)


def leg_named(name: str) -> Leg:
    """A leg by its name.

    Raises:
        InputError: there is none; lists those that are.
    """
    if name not in _LEGS:
        raise InputError(f"there is no leg {quoted(name)}; known: {', '.join(_LEGS)}")
    return _LEGS[name]


def leg_names() -> tuple[str, ...]:
    """Names of all legs."""
    return tuple(_LEGS)


for _leg in (
    Features(),
    BM25(),
    LeadTail(),
    PseudoRelevanceFeedback(),
    Headings(),
    Passages(),
    QueryLikelihood(),
):
    register_leg(_leg)
