"""The engine: one resident model that reads documents, finds evidence in them, and answers."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from s3_retriever.delegation import forwarded, in_thread
from s3_retriever.encoding.runners import LocalRunner, ScanPlan
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.engine_config import EngineConfig
from s3_retriever.explain.abstain import Abstention
from s3_retriever.explain.explainer import Explainer
from s3_retriever.explain.memory import engine_parts, memory_report
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.generation.answer import AnswerStream, fit_prompt
from s3_retriever.generation.compress import CompressedContext, Compressor
from s3_retriever.ingestion import AddReport, Ingestion
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.cards import DEFAULT_PROFILE
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.query import cache_queries
from s3_retriever.search.filters import Filter
from s3_retriever.settings import Mode, RetrieveSettings, ScanSettings, Scoring
from s3_retriever.storage.description import describe
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from s3_retriever.storage.namespaces import check_namespace, namespace_folder, namespaces_in
from s3_retriever.types import Document, Span

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
            IndexMismatchError: the index was written with another profile or by a model of other
                weights.
        """
        profile.check_llm(llm)
        self.llm = llm
        self.profile = profile
        self.scan_settings = scan or ScanSettings()
        self.retrieve_settings = retrieve or profile.default_settings
        weights = llm.weights_digest(profile.layers[-1])
        folder = Path(path) if path is not None else None
        self.documents = Documents(Index(folder, profile.card, weights))
        self._scanner = Scanner(llm, profile, self.scan_settings)
        self._ingestion = Ingestion(self.documents, LocalRunner(self._scanner), self._plan)
        self._retriever = Retriever(llm, profile)
        self._namespaces: dict[str, Engine] = {}
        self._namespace_lock = threading.Lock()
        self.abstention: Abstention | None = None
        """Leaves the result empty where nothing relevant is there; off by default."""
        self._source: dict[str, Any] = {"profile": profile.card.name, "model": llm.name}
        self._compressor = Compressor(
            self._retriever, self._scanner, llm, profile, settings=lambda: self.retrieve_settings
        )
        self._explainer = Explainer(
            llm,
            profile,
            self._retriever,
            self.documents,
            settings=lambda: self.retrieve_settings,
            abstains=self._abstains,
        )

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
        return EngineConfig(
            **self._source,
            path=str(folder) if folder else None,
            scan=self.scan_settings,
            retrieve=self.retrieve_settings,
        ).model_dump(mode="json")

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
        checked = EngineConfig.model_validate(config)
        return cls.from_profile(**dict(checked), device=device, dtype=dtype)

    def _plan(self) -> ScanPlan:
        """What a runner elsewhere needs to read documents as this engine does."""
        described = self.llm.describe()
        return ScanPlan(**self._source, settings=self.scan_settings, dtype=str(described["dtype"]))

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
                path = namespace_folder(folder, name) if folder else None
                self._namespaces[name] = self._aside(path)
            return self._namespaces[name]

    def _aside(self, path: Path | None = None) -> Engine:
        """An engine around the same model, with an index of its own."""
        scan, retrieve = self.scan_settings, self.retrieve_settings
        engine = Engine(self.llm, self.profile, path, scan=scan, retrieve=retrieve)
        engine._source = self._source
        return engine

    def namespaces(self) -> list[str]:
        """Names of the namespaces that hold something or were asked for, sorted."""
        folder = self.index.folder
        return sorted({*self._namespaces, *(namespaces_in(folder) if folder else ())})

    def retrieve(
        self,
        question: str,
        *,
        max_tokens: int | None = 512,
        k: int | None = None,
        filter: Filter | None = None,
        mode: Mode | None = None,
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
                ``bm25`` words alone. By default what the profile recommends on this device.
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
        """Read questions together, for a :meth:`retrieve` of each that follows.

        A question that cannot be used is left to its :meth:`retrieve`, which says why.
        """
        most_tokens = self.scan_settings.batch_tokens
        return cache_queries(self.llm, self.profile.card, questions, most_tokens)

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
        aside = self._aside()
        aside.add(documents)
        return aside.retrieve(question, **arguments)

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

    def memory_report(self, **others: Any) -> dict[str, int]:
        """Bytes: the passages that the model keeps, weights, and what ``others`` add to them.

        Args:
            **others: chat models, pipelines, modules by name; what they share counts once.
        """
        return memory_report({**engine_parts(self.llm, self.profile), **others})

    def info(self) -> dict[str, Any]:
        """What is in the index and in memory: counts, bytes by part, the profile."""
        view = self.documents.view
        return describe(self.index.folder, view.snapshot) | {
            "model": self.llm.name,
            **self.llm.describe(),
        }

    @property
    def index(self) -> Index:
        """Where documents are kept."""
        return self.documents.index

    @property
    def generator(self) -> LanguageModel:
        """The older name of :attr:`llm`."""
        warnings.warn("Engine.generator is Engine.llm now", DeprecationWarning, stacklevel=2)
        return self.llm

    add = forwarded("_ingestion", Ingestion.add)
    compress = forwarded("_compressor", Compressor.compress)
    explain = forwarded("_explainer", Explainer.explain)
    why_not = forwarded("_explainer", Explainer.why_not)
    read_document = forwarded("_explainer", Explainer.read_document)
    similarities = forwarded("_explainer", Explainer.similarities)
    highest_score = forwarded("_explainer", Explainer.highest_score)

    # what takes no model
    refresh = forwarded("documents", Documents.refresh)
    get = forwarded("documents", Documents.get)
    ids = forwarded("documents", Documents.ids)
    __contains__ = forwarded("documents", Documents.__contains__)
    __len__ = forwarded("documents", Documents.__len__)
    delete = forwarded("documents", Documents.delete)
    delete_where = forwarded("documents", Documents.delete_where)
    update_metadata = forwarded("documents", Documents.update_metadata)
    compact = forwarded("documents", Documents.compact)
    snapshot = forwarded("documents", Documents.snapshot)
    export_bundle = forwarded("documents", Documents.export_bundle)
    import_bundle = forwarded("documents", Documents.import_bundle)

    # the same without blocking an event loop
    aadd = in_thread(add)
    adelete = in_thread(delete)
    aretrieve = in_thread(retrieve)
    acompress = in_thread(compress)
