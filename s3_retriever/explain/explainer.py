"""Explanations of what an engine finds and does not find, and of what its scores mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from s3_retriever.arguments import FILTER, NAME, REFS, SETTINGS, SOME_NAME, SPAN, TEXT, checked
from s3_retriever.explain.reading import DocumentReader, Reading
from s3_retriever.explain.why import Explanation, WhyNot, explain, why_not
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.fusion import highest_score
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.similarity import similarities
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, RetrieveSettings, Scoring
from s3_retriever.storage.base import DocumentStore
from s3_retriever.types import Span, SpanRef

__all__ = ["Explainer"]


class Explainer:
    """An engine's explanations; :class:`~s3_retriever.Engine` has these methods."""

    def __init__(
        self,
        llm: LanguageModel,
        profile: Profile,
        retriever: Retriever,
        documents: DocumentStore,
        *,
        settings: Callable[[], RetrieveSettings],
        abstains: Callable[[str, Sequence[Span]], bool],
    ) -> None:
        """Take what retrieves.

        Args:
            llm: the resident model.
            profile: made for it.
            retriever: of both.
            documents: what is retrieved from.
            settings: the engine's defaults, as they are when a question is asked.
            abstains: whether spans are held for too little evidence for a question.
        """
        self._llm = llm
        self._profile = profile
        self._retriever = retriever
        self._documents = documents
        self._settings = settings
        self._abstains = abstains
        self._reader = DocumentReader(llm, profile, retriever)

    @checked(question=TEXT, span=SPAN)
    def explain(self, question: str, span: Span) -> Explanation:
        """Which tokens, heads and features made the model look at ``span``.

        Args:
            question: plain text.
            span: of ``retrieve(question)``.

        Raises:
            InputError: the span's document is not in the index, or is another text by now.
            ProfileError: the profile names no heads.
        """
        view = self._documents.view
        null = self._settings().scoring.null_question
        reading = self._reader.read(view, question, span.doc_id, null)
        return explain(view, view.search, self._profile.card, reading, question, span)

    @checked(question=TEXT, doc_id=NAME)
    def read_document(self, question: str, doc_id: str) -> Reading:
        """How the profile's heads see a document for a question, token by token.

        Raises:
            InputError: there is no such document.
            ProfileError: the profile names no heads.
        """
        null = self._settings().scoring.null_question
        return self._reader.read(self._documents.view, question, doc_id, null)

    @checked(question=TEXT, doc_id=NAME, filter=FILTER, settings=SETTINGS)
    def why_not(
        self,
        question: str,
        doc_id: str,
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        mode: Mode | None = None,
        scoring: Scoring | None = None,
        settings: RetrieveSettings | None = None,
    ) -> WhyNot:
        """At which stage of a ``retrieve`` a document is lost, and what would bring it in.

        Args:
            question: plain text.
            doc_id: the document that was expected.
            max_tokens: as of the ``retrieve`` that did not find it; so are all others.
            k: as there.
            filter: as there.
            mode: as there.
            scoring: as there.
            settings: as there.

        Raises:
            InputError: as of ``retrieve``.
        """
        view = self._documents.view
        used = settings or self._settings()

        def spans(max_tokens: int | None, k: int | None) -> list[Span]:
            return self._retriever.retrieve(
                view,
                view.search,
                question,
                max_tokens=max_tokens,
                k=k,
                filter=filter,
                mode=mode,
                scoring=scoring,
                settings=used,
            )

        return why_not(
            view,
            view.search,
            question,
            doc_id,
            allowed=filter is None or doc_id in view.document_ids(filter),
            retrieve=spans,
            abstains=lambda found: self._abstains(question, found),
            count_tokens=self._llm.count_tokens,
            max_tokens=max_tokens,
            k=k,
            candidates=used.candidates,
        )

    @checked(refs=REFS)
    def similarities(self, refs: Sequence[SpanRef]) -> np.ndarray:
        """How alike pieces of indexed text are, by the model's features in them.

        Returns:
            ``(n, n)`` float32 cosines in [0, 1] (:func:`~.retrieval.similarity.similarities`).
        """
        return similarities(self._documents.view, refs)

    @checked(mode=SOME_NAME, settings=SETTINGS)
    def highest_score(
        self, mode: Mode | None = None, settings: RetrieveSettings | None = None
    ) -> float:
        """The score of a span that every leg of a mode finds best: 1 on a relative scale.

        Raises:
            InputError: an unknown mode.
        """
        used = settings or self._settings()
        preset = preset_named(mode or self._retriever.default_mode)
        return highest_score(preset.weights(used), used.fusion.paragraph_weight)
