"""What the profile's heads see in one document: the numbers behind every explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.errors import InputError
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.quoting import quoted
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring.attention import HeadScores
from s3_retriever.retrieval.scoring.base import score_tokens
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import SpanRef, TextBounds

__all__ = ["DocumentReader", "Reading"]


@dataclass(frozen=True, eq=False)
class Reading:
    """A document as the heads see it for one question; full of arrays, it equals itself only."""

    text: str
    bounds: TextBounds
    starts: np.ndarray
    ends: np.ndarray
    latents: np.ndarray
    """``(n_tokens, n_hookpoints, k)``"""
    heads: Sequence[HeadScores]
    scores: np.ndarray
    """``(n_tokens,)`` as attention scoring gives them, less the null question's, this document
    alone sharing the softmax."""


class DocumentReader:
    """Scores one document's stored codes for a question; the document is not read again."""

    def __init__(self, llm: LanguageModel, profile: Profile, retriever: Retriever) -> None:
        """Take what retrieves; its scorer makes the numbers."""
        self._llm = llm
        self._profile = profile
        self._retriever = retriever

    def read(
        self, store: CodeStore, question: str, doc_id: str, null_question: str | None
    ) -> Reading:
        """Score every token of a document.

        Args:
            store: one state of an index.
            question: plain text.
            doc_id: the document.
            null_question: its attention is subtracted; ``None`` subtracts nothing.

        Raises:
            InputError: there is no such document.
            ProfileError: the profile names no heads.
        """
        if doc_id not in store:
            raise InputError(f"there is no document {quoted(doc_id)} in the index")
        asked = project_question(self._llm, self._profile.card, question)
        scorer = self._retriever.attention_scorer(asked, null_question)
        batch = store.tokens([store.whole_document(doc_id)])
        return Reading(
            text=store.text(SpanRef(doc_id, 0, store.n_characters(doc_id))),
            bounds=store.bounds(doc_id),
            starts=batch.starts,
            ends=batch.ends,
            latents=batch.ids,
            heads=scorer.by_head(batch),
            scores=score_tokens(scorer, [batch]),
        )
