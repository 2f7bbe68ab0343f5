"""The engine: one resident model that reads documents, finds evidence in them, and answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError
from s3_retriever.explain.abstain import Abstention
from s3_retriever.explain.memory import memory_report
from s3_retriever.explain.reading import DocumentReader, Reading
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.explain.why import Explanation, WhyNot, explain, why_not
from s3_retriever.generation.answer import AnswerStream, fit_prompt
from s3_retriever.generation.compress import CompressedContext, Compressor, with_edges
from s3_retriever.ingestion import AddReport, add_documents, checked_documents
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.fusion import highest_score
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.query import question_ids
from s3_retriever.retrieval.similarity import similarities
from s3_retriever.search.filters import Filter
from s3_retriever.settings import DensitySettings, Mode, RetrieveSettings, ScanSettings, Scoring
from s3_retriever.storage.bundle import Imported
from s3_retriever.storage.description import describe
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from s3_retriever.storage.maintenance import Compaction
from s3_retriever.storage.namespaces import check_namespace, namespace_folder, namespaces_in
from s3_retriever.storage.view import View
from s3_retriever.types import Document, Span, SpanRef

__all__ = ["AddReport", "CompressedContext", "Engine"]


class Engine:
    """Reads documents once with a language model and retrieves with its own attention.

    Example:
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> report = engine.add([Document("cats", "Cats sleep most of the day. Dogs bark.")])
        >>> engine.retrieve("How long do cats sleep?", max_tokens=8)[0].text
        'Cats sleep most of the day.'
    """

    def __init__(
        self,
        llm: LanguageModel,
        profile: Profile,
        path: str | Path | None = None,
        *,
        scan: ScanSettings | None = None,
        retrieve: RetrieveSettings | None = None,
    ) -> None:
        """Put a loaded model, its profile and an index together.

        Args:
            llm: the resident model.
            profile: made for that model.
            path: the index's folder, created if need be; ``None`` keeps the index in memory.
            scan: chunk and batch sizes.
            retrieve: defaults of every stage between a question and its spans.

        Raises:
            ProfileError: the profile is for another model.
            IndexStorageError: the folder cannot be used or is damaged.
            IndexMismatchError: the index was written with another profile.
        """
        profile.check_llm(llm)
        self.llm = llm
        self.profile = profile
        self.scan_settings = scan or ScanSettings()
        self.retrieve_settings = retrieve or profile.default_settings
        self.documents = Documents(Index(Path(path) if path is not None else None, profile.card))
        self._scanner = Scanner(llm, profile, self.scan_settings)
        self._retriever = Retriever(llm, profile)
        self._namespaces: dict[str, Engine] = {}
        self._namespace_lock = threading.Lock()
        self.abstention: Abstention | None = None
        """Leaves the result empty where nothing relevant is there; off by default."""
        self._source: dict[str, str | None] = {
            "profile": profile.card.name,
            "model": llm.name,
        }
        self._compressor = Compressor(self._retriever, self._scanner, llm, profile)
        self._reader = DocumentReader(llm, profile, self._retriever)

    @classmethod
    def from_profile(
        cls,
        profile: str | Path = DEFAULT_PROFILE,
        path: str | Path | None = None,
        *,
        model: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        scan: ScanSettings | None = None,
        retrieve: RetrieveSettings | None = None,
    ) -> Engine:
        """Load the model that a profile is for, and open or create an index.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder; ``None`` keeps the index in memory.
            model: other weights of the same model: a hub id, a folder or a ``.gguf`` file.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware has it, else float32.
            scan: chunk and batch sizes.
            retrieve: defaults of every stage between a question and its spans.

        Raises:
            ProfileError: no such profile, it is damaged, or it is for another model.
            ModelError: the weights cannot be found or read.
            IndexStorageError: the folder cannot be used or is damaged.
            IndexMismatchError: the index was written with another profile.
        """
        loaded = Profile.load(profile)
        revision = loaded.card.revision if model is None else None
        llm = TransformersModel.load(
            model or loaded.card.model, revision=revision, device=device, dtype=dtype
        )
        engine = cls(llm, loaded, path, scan=scan, retrieve=retrieve)
        engine._source = {"profile": str(profile), "model": model}
        return engine

    def to_config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs to make this engine again: JSON values, no weights.

        An index in memory is not in it; neither are the device and dtype, which belong to a
        machine.
        """
        folder = self.index.folder
        return {
            **self._source,
            "path": str(folder) if folder else None,
            "scan": self.scan_settings.model_dump(mode="json"),
            "retrieve": self.retrieve_settings.model_dump(mode="json"),
        }

    @classmethod
    def from_config(
        cls,
        config: Mapping[str, Any],
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> Engine:
        """Load what :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            device: as in :meth:`from_profile`.
            dtype: as in :meth:`from_profile`.

        Raises:
            EndogenousError: as :meth:`from_profile`.
        """
        return cls.from_profile(
            config["profile"],
            config["path"],
            model=config["model"],
            device=device,
            dtype=dtype,
            scan=ScanSettings.model_validate(config["scan"]),
            retrieve=RetrieveSettings.model_validate(config["retrieve"]),
        )

    def add(
        self,
        documents: Iterable[Document | str],
        *,
        on_error: Literal["skip", "raise"] = "skip",
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> AddReport:
        """Read documents and put them into the index; one whose id is there is replaced.

        What is added becomes visible and durable every ``scan_settings.segment_tokens`` tokens
        and at the end. A text that is in the index under the same id is not read again.

        Args:
            documents: a plain string gets an id made from its contents.
            on_error: what a bad document does: ``skip`` leaves it out and reports it, ``raise``
                leaves everything out.
            on_progress: called with the tokens and the characters read since the last call.

        Raises:
            InputError: with ``raise``, the first bad document; with ``skip``, if all are bad.
            IndexLockedError: another process is writing.
            IndexStorageError: the folder cannot be written; the index is as it was.
        """
        good, skipped = checked_documents(documents, on_error)
        with self.documents.write_lock, self.index.writing():
            return add_documents(
                self.index,
                self._scanner,
                good,
                skipped,
                segment_tokens=self.scan_settings.segment_tokens,
                on_progress=on_progress,
            )

    def namespace(self, name: str) -> Engine:
        """An engine around the same model whose index is its own: nothing is shared or found.

        Its index lies in this one's folder. Snapshots and bundles hold one namespace.

        Args:
            name: 1 to 64 of a-z, 0-9, ``-`` and ``_``.

        Raises:
            InputError: another name.
            IndexStorageError: its folder cannot be used or is damaged.
        """
        check_namespace(name)
        with self._namespace_lock:
            if name not in self._namespaces:
                folder = self.index.folder
                inner = self._namespaces[name] = Engine(
                    self.llm,
                    self.profile,
                    namespace_folder(folder, name) if folder else None,
                    scan=self.scan_settings,
                    retrieve=self.retrieve_settings,
                )
                inner._source = self._source
            return self._namespaces[name]

    def namespaces(self) -> list[str]:
        """Names of the namespaces that hold something or were asked for, sorted."""
        folder = self.index.folder
        return sorted({*self._namespaces, *(namespaces_in(folder) if folder else ())})

    async def aadd(self, documents: Iterable[Document | str], **options: Any) -> AddReport:
        """As :meth:`add`, in a thread: the event loop goes on."""
        return await asyncio.to_thread(self.add, documents, **options)

    async def adelete(self, ids: Iterable[str]) -> int:
        """As :meth:`delete`, in a thread."""
        return await asyncio.to_thread(self.delete, ids)

    async def aretrieve(self, question: str, **options: Any) -> list[Span]:
        """As :meth:`retrieve`, in a thread."""
        return await asyncio.to_thread(self.retrieve, question, **options)

    async def acompress(
        self, question: str, text: str, max_tokens: int, **options: Any
    ) -> CompressedContext:
        """As :meth:`compress`, in a thread."""
        return await asyncio.to_thread(self.compress, question, text, max_tokens, **options)

    def retrieve(
        self,
        question: str,
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        mode: Mode = "hybrid",
        scoring: Scoring | None = None,
        settings: RetrieveSettings | None = None,
        token_scores: bool = False,
        query_cache: QueryCache | None = None,
        abstain: bool = True,
    ) -> RetrievalResult:
        """Find the text that the model would attend to for ``question``.

        Args:
            question: plain text.
            max_tokens: budget in the model's tokens; ``None`` is no limit.
            k: most spans; ``None`` is no limit.
            filter: condition on the documents' metadata (see
                :mod:`~s3_retriever.search.filters`).
            mode: ``hybrid`` joins features and words and lets the model read the best of them
                again, ``fast`` joins them without that, ``features`` is the index's codes alone,
                ``bm25`` words alone, without the model. Others are registered presets.
            scoring: ``attention`` or ``coactivation`` (Eq. 7 as published); by default the
                profile's better one.
            settings: every stage's settings, for this question only.
            token_scores: put the score of each token into ``Span.tokens``.
            query_cache: what :meth:`cache_queries` gave for this question and others.
            abstain: whether :attr:`abstention` may empty the result.

        Returns:
            Spans, best first: a list that notebooks show as a heatmap and that can be drawn or
            written as a page. Empty if the index is empty, nothing matches, or
            :attr:`abstention` is set and says so.

        Raises:
            InputError: an empty or too long question, a budget below 1, an unknown mode.
        """
        view = self.documents.view
        spans = self._retriever.retrieve(
            view,
            view.search,
            question,
            max_tokens=max_tokens,
            k=k,
            filter=filter,
            mode=mode,
            scoring=scoring,
            settings=settings or self.retrieve_settings,
            token_scores=token_scores,
            query_cache=query_cache,
        )
        if abstain and self._abstains(question, spans):
            spans = []
        return RetrievalResult(spans, question, self)

    def _abstains(self, question: str, spans: Sequence[Span]) -> bool:
        threshold = self.abstention
        return threshold is not None and not threshold.relevant(self.llm, question, spans)

    def retrieve_batch(self, questions: Sequence[str], **arguments: Any) -> list[RetrievalResult]:
        """Spans for each question; all questions are projected in one padded forward pass.

        What mode ``hybrid`` reads afterwards is a question's own, and read for each. In bfloat16
        padding rounds differently: spans of nearly the same score may change places.

        Args:
            questions: plain texts.
            **arguments: of :meth:`retrieve`.

        Raises:
            InputError: as :meth:`retrieve`.
        """
        query_cache = self.cache_queries(questions)
        return [
            self.retrieve(question, query_cache=query_cache, **arguments) for question in questions
        ]

    def cache_queries(self, questions: Iterable[str]) -> QueryCache:
        """Project questions together, for a :meth:`retrieve` of each that follows.

        A question that cannot be used is left to its :meth:`retrieve`, which says why.
        """
        chunks = [
            chunk
            for text in sorted(set(questions))
            if (chunk := self._question_ids(text)) is not None
        ]
        return QueryCache(
            self.llm,
            chunks,
            self.profile.layers,
            most_tokens=self.scan_settings.batch_tokens,
        )

    def _question_ids(self, text: str) -> np.ndarray | None:
        try:
            return np.concatenate(question_ids(self.llm, self.profile.card, text))
        except InputError:
            return None

    def select(
        self, question: str, documents: Iterable[Document | str], **arguments: Any
    ) -> RetrievalResult:
        """The spans of a few documents that a question needs; the index is not touched.

        The documents are read for this question and forgotten.

        Args:
            question: plain text.
            documents: as of :meth:`add`.
            **arguments: of :meth:`retrieve`.

        Raises:
            InputError: as :meth:`add` and :meth:`retrieve`.
        """
        aside = Engine(
            self.llm,
            self.profile,
            scan=self.scan_settings,
            retrieve=self.retrieve_settings,
        )
        aside.add(documents)
        return aside.retrieve(question, **arguments)

    def compress(
        self,
        question: str,
        text: str,
        max_tokens: int,
        *,
        mode: Mode = "hybrid",
        scoring: Scoring | None = None,
        settings: RetrieveSettings | None = None,
        token_scores: bool = False,
    ) -> CompressedContext:
        """Cut one long text down to what ``question`` needs; no index on disk is made or used.

        This is the published setting. The codes of the last few texts are kept in memory, so
        further questions on the same text do not read it again. A text that fits the budget
        comes back whole.

        Args:
            question: plain text.
            text: the context.
            max_tokens: budget of the result in the model's tokens, separators included.
            mode: as in :meth:`retrieve`.
            scoring: as in :meth:`retrieve`.
            settings: every stage's settings. Default: the engine's, and the text's first and last
                tokens (:func:`~s3_retriever.generation.compress.with_edges`).
            token_scores: as in :meth:`retrieve`.

        Raises:
            InputError: the question or the text is empty, or ``max_tokens`` is below 1.
        """
        return self._compressor.compress(
            question,
            text,
            max_tokens,
            mode=mode,
            scoring=scoring,
            settings=settings or with_edges(self.retrieve_settings, max_tokens),
            token_scores=token_scores,
        )

    def answer(
        self,
        question: str,
        *,
        max_tokens: int = 512,
        max_new_tokens: int = 128,
        **retrieve: Any,
    ) -> AnswerStream:
        """Retrieve spans and let the same model answer from them.

        Args:
            question: plain text.
            max_tokens: budget of the evidence, counted in the chat template that is used: with
                the numbers and empty lines around the spans. The best span is always there.
            max_new_tokens: longest answer.
            **retrieve: further arguments of :meth:`retrieve`.

        Returns:
            The answer as it is written: iterate over it for pieces of text; ``.spans`` is there
            at once, ``.result()`` waits for the end and brings the citations.
        """
        found = self.retrieve(question, max_tokens=max_tokens, **retrieve)
        prompt, spans = fit_prompt(self.llm, question, found, max_tokens)
        return AnswerStream(self.llm.stream(prompt, max_new_tokens=max_new_tokens), spans)

    def explain(self, question: str, span: Span) -> Explanation:
        """Which tokens, heads and features made the model look at ``span``.

        Args:
            question: plain text.
            span: of ``retrieve(question)``.

        Raises:
            InputError: the span's document is not in the index, or is another text by now.
            ProfileError: the profile names no heads.
        """
        view = self.documents.view
        reading = self._read(view, question, span.doc_id)
        return explain(view, view.search, self.profile.card, reading, question, span)

    def read_document(self, question: str, doc_id: str) -> Reading:
        """How the profile's heads see a document for a question, token by token.

        Raises:
            InputError: there is no such document.
            ProfileError: the profile names no heads.
        """
        return self._read(self.documents.view, question, doc_id)

    def _read(self, view: View, question: str, doc_id: str) -> Reading:
        null = self.retrieve_settings.scoring.null_question
        return self._reader.read(view, question, doc_id, null)

    @property
    def density(self) -> DensitySettings:
        """How peaks are found."""
        return self.retrieve_settings.density

    def why_not(
        self,
        question: str,
        doc_id: str,
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        settings: RetrieveSettings | None = None,
        **retrieve: Any,
    ) -> WhyNot:
        """At which stage of a ``retrieve`` a document is lost, and what would bring it in.

        Args:
            question: plain text.
            doc_id: the document that was expected.
            max_tokens: as of the :meth:`retrieve` that did not find it; so are all others.
            k: as there.
            filter: as there.
            settings: as there.
            **retrieve: ``mode`` and ``scoring``.

        Raises:
            InputError: as :meth:`retrieve`.
        """
        view = self.documents.view
        used = settings or self.retrieve_settings

        def spans(max_tokens: int | None, k: int | None) -> list[Span]:
            return self._retriever.retrieve(
                view,
                view.search,
                question,
                max_tokens=max_tokens,
                k=k,
                filter=filter,
                settings=used,
                **retrieve,
            )

        return why_not(
            view,
            view.search,
            question,
            doc_id,
            allowed=filter is None or doc_id in view.document_ids(filter),
            retrieve=spans,
            abstains=lambda found: self._abstains(question, found),
            count_tokens=self.llm.count_tokens,
            max_tokens=max_tokens,
            k=k,
            candidates=used.candidates,
        )

    def memory_report(self, **others: Any) -> dict[str, int]:
        """Bytes of weights: the model's, the autoencoders', and what ``others`` add to them.

        Args:
            **others: chat models, pipelines, modules by name; what they share counts once.
        """
        own = {"llm": self.llm, "autoencoders": list(self.profile.saes)}
        return memory_report({**own, **others})

    def info(self) -> dict[str, Any]:
        """What is in the index and in memory: counts, bytes by part, the profile."""
        view = self.documents.view
        return describe(self.index.folder, view.snapshot) | {
            "model": self.llm.name,
            **self.llm.describe(),
        }

    def similarities(self, refs: Sequence[SpanRef]) -> np.ndarray:
        """How alike pieces of indexed text are, by the model's features in them.

        Returns:
            ``(n, n)`` float32 cosines in [0, 1] (:func:`~.retrieval.similarity.similarities`).
        """
        return similarities(self.documents.view, refs)

    def highest_score(
        self, mode: Mode = "hybrid", settings: RetrieveSettings | None = None
    ) -> float:
        """The score of a span that every leg of a mode finds best: 1 on a relative scale.

        Raises:
            InputError: an unknown mode.
        """
        used = settings or self.retrieve_settings
        return highest_score(preset_named(mode).weights(used), used.fusion.paragraph_weight)

    # what can be done with documents without the model: see Documents

    @property
    def index(self) -> Index:
        """Where documents are kept."""
        return self.documents.index

    def refresh(self) -> None:
        """See what other processes have committed; reading methods do so by themselves."""
        self.index.refresh()

    def get(self, doc_id: str) -> Document | None:
        """See :meth:`Documents.get`."""
        return self.documents.get(doc_id)

    def ids(self, filter: Filter | None = None) -> list[str]:
        """See :meth:`Documents.ids`."""
        return self.documents.ids(filter)

    def __contains__(self, doc_id: object) -> bool:
        """Whether a document of this id is there."""
        return doc_id in self.documents

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.documents)

    def delete(self, ids: Iterable[str]) -> int:
        """See :meth:`Documents.delete`."""
        return self.documents.delete(ids)

    def delete_where(self, filter: Filter) -> int:
        """See :meth:`Documents.delete_where`."""
        return self.documents.delete_where(filter)

    def update_metadata(self, changes: Mapping[str, Mapping[str, Any]]) -> int:
        """See :meth:`Documents.update_metadata`."""
        return self.documents.update_metadata(changes)

    def compact(self) -> Compaction:
        """See :meth:`Documents.compact`."""
        return self.documents.compact()

    def snapshot(self, folder: str | Path) -> None:
        """See :meth:`Documents.snapshot`."""
        self.documents.snapshot(folder)

    def export_bundle(self, path: str | Path) -> int:
        """See :meth:`Documents.export_bundle`."""
        return self.documents.export_bundle(path)

    def import_bundle(self, path: str | Path) -> Imported:
        """See :meth:`Documents.import_bundle`."""
        return self.documents.import_bundle(path)
