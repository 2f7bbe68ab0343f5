"""The engine: one resident model that reads documents, finds evidence in them, and answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import InstanceOf, TypeAdapter

from s3_retriever.arguments import QUESTIONS, SCAN, SETTINGS, checked
from s3_retriever.delegation import forwarded, in_thread
from s3_retriever.encoding.runners import LocalRunner, ScanPlan
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.engine_config import EngineConfig, shown_engine
from s3_retriever.explain.abstain import Abstention
from s3_retriever.explain.explainer import Explainer
from s3_retriever.explain.memory import engine_parts, memory_report
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.forking import ForkLock
from s3_retriever.generation.answer import Answerer
from s3_retriever.generation.compress import CompressedContext, Compressor
from s3_retriever.ingestion import AddReport, Ingestion
from s3_retriever.models.base import LanguageModel
from s3_retriever.models.query_cache import QueryCache
from s3_retriever.models.weights import bound_model
from s3_retriever.paths import bound_place
from s3_retriever.profiles.cards import DEFAULT_PROFILE, bound_profile
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.query import cache_queries
from s3_retriever.search.filters import Filter
from s3_retriever.selecting import Selector
from s3_retriever.settings import Mode, RetrieveSettings, ScanSettings, Scoring
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from s3_retriever.storage.namespaces import check_namespace
from s3_retriever.storage.stores import files_of, open_documents
from s3_retriever.types import Span

__all__ = ["AddReport", "CompressedContext", "Engine"]

_PROFILE: TypeAdapter[Any] = TypeAdapter(InstanceOf[Profile])


class Engine:
    """Reads documents once with a language model and retrieves with its own attention.

    Example:
        >>> from s3_retriever import Document
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> report = engine.add([Document("cats", "Cats sleep most of the day. Dogs bark.")])
        >>> engine.retrieve("How long do cats sleep?", max_tokens=8)[0].text
        'Cats sleep most of the day.'
    """

    @checked(profile=_PROFILE, scan=SCAN, retrieve=SETTINGS)
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
            path: the index's folder, created if need be; ``None`` keeps the index in memory. A
                relative one, here and in all methods, is bound to the working directory of now.
                Or a ``postgresql://`` URL (docs/postgres.md).
            scan: chunk and batch sizes.
            retrieve: defaults of every stage between a question and its spans.

        Raises:
            ProfileError: the profile is for another model.
            IndexStorageError: the folder cannot be used or is damaged.
            IndexMismatchError: the index was written with another profile or by a model of other
                weights.
            InputError: an argument of another type.
        """
        profile.check_llm(llm)
        self.llm = llm
        self.profile = profile
        self.scan_settings = scan or ScanSettings()
        self.retrieve_settings = retrieve or profile.default_settings
        weights = llm.weights_digest(profile.layers[-1])
        self.documents = open_documents(path, profile.card, weights)
        self._scanner = Scanner(llm, profile, self.scan_settings)
        self._ingestion = Ingestion(self.documents, LocalRunner(self._scanner), self._plan)
        self._retriever = Retriever(llm, profile)
        self._namespaces: dict[str, Engine] = {}
        self._namespace_lock = ForkLock()
        self.abstention: Abstention | None = None
        """Leaves the result empty where nothing relevant is there; off by default."""
        self._source: dict[str, Any] = {"profile": profile.card.name, "model": llm.name}
        self._compressor = Compressor(
            self._retriever, self._scanner, llm, profile, settings=lambda: self.retrieve_settings
        )
        self._selector = Selector(llm, lambda: self._aside())
        self._answerer = Answerer(llm, self.retrieve)
        self._explainer = Explainer(
            llm,
            profile,
            self._retriever,
            self.documents,
            settings=lambda: self.retrieve_settings,
            abstains=self._abstains,
        )

    __repr__ = shown_engine

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
        first_layers: bool = False,
    ) -> Engine:
        """Load the model that a profile is for, and open or create an index.

        Engines of one process that are made so from the same weights share them.

        Args:
            profile: a shipped name or a profile's folder.
            path: the index's folder or ``postgresql://`` URL; ``None`` keeps it in memory.
            model: other weights of the same model: a hub id, a folder or a ``.gguf`` file.
            device: by default the first GPU, else the CPU.
            dtype: by default bfloat16 where the hardware has it, else float32.
            scan: chunk and batch sizes.
            retrieve: defaults of every stage between a question and its spans.
            first_layers: load only the layers that the profile reads: enough to add documents and
                for all modes but ``hybrid``; what takes more raises ``NotLoadedError``.

        Raises:
            ProfileError: no such profile, it is damaged, or it is for another model.
            ModelError: the weights cannot be found or read.
            IndexStorageError: the folder cannot be used or is damaged.
            IndexMismatchError: the index was written with another profile.
        """
        path = bound_place(path) if path is not None else None
        profile, model = bound_profile(profile), bound_model(model) if model else model
        loaded = Profile.load(profile)
        llm = loaded.resident(model, device=device, dtype=dtype, first_layers=first_layers)
        engine = cls(llm, loaded, path, scan=scan, retrieve=retrieve)
        engine._source = {"profile": profile, "model": model}
        return engine

    def to_config(self) -> dict[str, Any]:
        """What :meth:`from_config` needs to make this engine again: JSON values, no weights.

        An index in memory is not in it; neither are the device and dtype, which belong to a
        machine, nor the password of a URL: libpq reads that from ``PGPASSWORD`` or a ``.pgpass``.
        """
        return EngineConfig(
            **self._source,
            path=self.documents.location,
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
        read = EngineConfig.read(config)
        return cls.from_profile(**dict(read), device=device, dtype=dtype)

    def _plan(self) -> ScanPlan:
        """What a runner elsewhere needs to read documents as this engine does."""
        return ScanPlan(
            **self._source,
            settings=self.scan_settings,
            dtype=str(self.llm.describe()["dtype"]),
            weights=self.llm.weights_digest(self.profile.layers[-1]),
        )

    def namespace(self, name: str) -> Engine:
        """An engine around the same model whose index is its own: nothing is shared or found.

        Its index lies in this one's folder, or in a schema beside this one's. Snapshots and
        bundles hold one namespace.

        Args:
            name: 1 to 64 of a-z, 0-9, ``-`` and ``_``.

        Raises:
            InputError: another name.
            IndexStorageError: its folder cannot be used or is damaged.
        """
        check_namespace(name)
        with self._namespace_lock:
            if name not in self._namespaces:
                self._namespaces[name] = self._aside(self.documents.namespace(name))
            return self._namespaces[name]

    def _aside(self, path: str | Path | None = None) -> Engine:
        """An engine around the same model, with an index of its own."""
        scan, retrieve = self.scan_settings, self.retrieve_settings
        engine = Engine(self.llm, self.profile, path, scan=scan, retrieve=retrieve)
        engine._source = self._source
        return engine

    def namespaces(self) -> list[str]:
        """Names of the namespaces that hold something or were asked for, sorted."""
        return sorted({*self._namespaces, *self.documents.namespaces()})

    def delete_namespace(self, name: str) -> bool:
        """Delete a namespace with all its documents; returns whether there was one.

        An engine that :meth:`namespace` gave before may show what was there, and takes no
        documents: ask for the namespace anew.

        Args:
            name: 1 to 64 of a-z, 0-9, ``-`` and ``_``.

        Raises:
            InputError: another name.
            IndexLockedError: it is being written, or a server has the index.
            IndexStorageError: its files cannot be moved; a part of it lies on another server.
        """
        check_namespace(name)
        with self._namespace_lock:
            there = self.documents.delete_namespace(name)
            return self._namespaces.pop(name, None) is not None or there

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
            max_tokens: budget in the model's tokens, of the spans' texts with an empty line
                between them; ``None`` is no limit.
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

    @checked(questions=QUESTIONS)
    def retrieve_batch(self, questions: Iterable[str], **arguments: Any) -> list[RetrievalResult]:
        """Spans for each question; all questions are projected together, padded.

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

    @checked(questions=QUESTIONS)
    def cache_queries(self, questions: Iterable[str]) -> QueryCache:
        """Read questions together, for a :meth:`retrieve` of each that follows.

        A question that cannot be used is left to its :meth:`retrieve`, which says why.
        """
        most_tokens = self.scan_settings.batch_tokens
        return cache_queries(self.llm, self.profile.card, questions, most_tokens)

    def memory_report(self, **others: Any) -> dict[str, int]:
        """Bytes: the passages that the model keeps, weights, and what ``others`` add to them.

        Args:
            **others: chat models, pipelines, modules by name; what they share counts once.
        """
        return memory_report({**engine_parts(self.llm, self.profile), **others})

    def info(self) -> dict[str, Any]:
        """What is in the index and in memory: counts, bytes by part, the profile."""
        return self.documents.describe() | {"model": self.llm.name, **self.llm.describe()}

    def prepare(self, query_cache: QueryCache) -> None:
        """Let a forked child retrieve with queries that were read elsewhere, without the model.

        Args:
            query_cache: of :attr:`null_question`, read by :meth:`cache_queries` and pickled.
        """
        self._retriever.prepare(self.retrieve_settings, query_cache)

    @property
    def null_question(self) -> str | None:
        """The content-free question whose attention is subtracted from that of every other."""
        return self.retrieve_settings.scoring.null_question

    @property
    def default_mode(self) -> Mode:
        """The mode of a question that names none."""
        return self._retriever.default_mode

    @property
    def index(self) -> Index:
        """The files that documents are kept in.

        Raises:
            IndexStorageError: they lie in a database.
        """
        return files_of(self.documents)

    @property
    def generator(self) -> LanguageModel:
        """The older name of :attr:`llm`."""
        warnings.warn("Engine.generator is Engine.llm now", DeprecationWarning, stacklevel=2)
        return self.llm

    add = forwarded("_ingestion", Ingestion.add)
    select = forwarded("_selector", Selector.select)
    answer = forwarded("_answerer", Answerer.answer)
    compress = forwarded("_compressor", Compressor.compress)
    explain = forwarded("_explainer", Explainer.explain)
    why_not = forwarded("_explainer", Explainer.why_not)
    read_document = forwarded("_explainer", Explainer.read_document)
    similarities = forwarded("_explainer", Explainer.similarities)
    highest_score = forwarded("_explainer", Explainer.highest_score)

    # what takes no model
    refresh = forwarded("documents", Documents.refresh)
    get = forwarded("documents", Documents.get)
    get_many = forwarded("documents", Documents.get_many)
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
