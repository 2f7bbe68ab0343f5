"""Texts that the tests of both frameworks share."""

from __future__ import annotations

import pytest

from s3_retriever.profiles.cards import shipped_profiles
from s3_retriever.types import Document, Span

PROFILE = "smollm2-135m-instruct"
TOKEN = "tests-0123456789abcdef"
"""Of the server around it."""
needs_profile = pytest.mark.skipif(
    PROFILE not in shipped_profiles(), reason=f"the profile {PROFILE} is not in the package yet"
)

DOCUMENTS = [
    Document(
        "lighthouse",
        "The lighthouse on Sandoy was built in 1874 by the engineer Maren Holt. "
        "It stands 31 metres above the sea. It stands 31 metres above the sea. "
        "Its lamp burned whale oil until 1911, when the island was given electricity. "
        "Since 1986 it has been automatic, and nobody lives there any more.",
        {"topic": "sea", "year": 1874},
    ),
    Document(
        "bakery",
        "Naïve bakers add the salt first. At Renée's café the dough rests for 14 hours at 4 °C 🍞, "
        "and the salt is folded in last.\n\nThe oven is lit with beech wood at five in the "
        "morning. Rye bread stays in it for seventy minutes, rolls for twelve.",
        {"topic": "food", "year": 2003},
    ),
    Document(
        "museum",
        "铁路博物馆于1952年开放。 The railway museum shows forty steam engines. "
        "The oldest engine, Adler II, still runs on the first Sunday of May. "
        "Tickets cost nine euros; children under six pay nothing.",
        {"topic": "trains", "year": 1952, "score": "five stars", "start_index": 700, "rank": 8},
    ),
]
TEXTS = {document.id: document.text for document in DOCUMENTS}
METADATA = {document.id: dict(document.metadata) for document in DOCUMENTS}

QUESTIONS = [
    "Who built the lighthouse on Sandoy?",
    "How long does the dough rest at the café?",
    "What do tickets for the railway museum cost?",
]


def assert_exact(span: Span, doc_id: str, start: int, end: int, text: str) -> None:
    """What a framework was given is the engine's span, and a slice of the text as added."""
    assert (doc_id, start, end, text) == (span.doc_id, span.start, span.end, span.text)
    assert TEXTS[doc_id][start:end] == text
