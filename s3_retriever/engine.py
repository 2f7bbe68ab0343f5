"""The engine: one resident model that reads documents, finds evidence in them, and answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from s3_retriever.adding import AddReport, add_documents, checked_documents
from s3_retriever.answering import AnswerStream, fit_prompt
from s3_retriever.compressing import CompressedContext, Compressor, with_edges
from s3_retriever.config import FusionSettings, Mode, RetrieveSettings, ScanSettings, Scoring
from s3_retriever.errors import InputError
from s3_retriever.explain.abstain import Abstention
from s3_retriever.explain.memory import memory_report
from s3_retriever.explain.result import RetrievalResult
from s3_retriever.explain.why import Explanation, WhyNot, explain, why_not
from s3_retriever.generator.ahead import ReadAhead
from s3_retriever.generator.generator import Generator
from s3_retriever.index.description import describe
from s3_retriever.index.filters import Filter
from s3_retriever.index.namespaces import check_namespace, namespace_folder, namespaces_in
from s3_retriever.index.store import Index
from s3_retriever.keeping import Keeping
from s3_retriever.profile import Profile
from s3_retriever.retrieve.question import question_ids
from s3_retriever.retrieve.retriever import Retriever
from s3_retriever.scan.scanner import Scanner
from s3_retriever.types import Document, Span

__all__ = ["AddReport", "CompressedContext", "Engine"]

DEFAULT_PROFILE = "smollm2-135m-instruct"


class Engine(Keeping):
    """Reads documents once with a language model and retrieves with its own attention.

    Example:
        >>> engine = Engine.from_profile("smollm2-135m-instruct")
        >>> report = engine.add([Document("cats", "Cats sleep most of the day. Dogs bark.")])
        >>> engine.retrieve("How long do cats sleep?", max_tokens=8)[0].text
        'Cats sleep most of the day.'
    """

    def __init__(
        self,
        generator: Generator,
        profile: Profile,
        path: str | Path | None = None,
        *,
        scan: ScanSettings | None = None,
        retrieve: RetrieveSettings | None = None,
    ) -> None:
        """Put a loaded model, its profile and an index together.

        Args:
            generator: the resident model.
            profile: made for that model.
            path: the index's folder, created if need be; ``None`` keeps the index in memory.
            scan: chunk and batch sizes.
            retrieve: defaults of every stage between a question and its spans.

        Raises:
            ProfileError: the profile is for another model.
            IndexStorageError: the folder cannot be used or is damaged.
            IndexMismatchError: the index was written with another profile.
        """
        profile.check_generator(generator)
        self.generator = generator
        self.profile = profile
        self.scan_settings = scan or ScanSettings()
        weights = profile.card.fusion or FusionSettings()
        self.retrieve_settings = retrieve or RetrieveSettings(fusion=weights)
        super().__init__(Index(Path(path) if path is not None else None, profile))
        self._scanner = Scanner(generator, profile, self.scan_settings)
        self._retriever = Retriever(generator, profile)
        self._namespaces: dict[str, Engine] = {}
        self._namespace_lock = threading.Lock()
        self.abstention: Abstention | None = None
        """Leaves the result empty where nothing relevant is there; off by default."""
        self._source: dict[str, str | None] = {
            "profile": profile.card.name,
            "model": generator.name,
        }
        self._compressor = Compressor(self._retriever, self._scanner, generator, profile)

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
        generator = Generator.load(
            model or loaded.card.model, revision=revision, device=device, dtype=dtype
        )
        engine = cls(generator, loaded, path, scan=scan, retrieve=retrieve)
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
        with self._write_lock, self.index.writing():
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
                self._namespaces[name] = Engine(
                    self.generator,
                    self.profile,
                    namespace_folder(folder, name) if folder else None,
                    scan=self.scan_settings,
                    retrieve=self.retrieve_settings,
                )
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
        ahead: ReadAhead | None = None,
    ) -> RetrievalResult:
        """Find the text that the model would attend to for ``question``.

        Args:
            question: plain text.
            max_tokens: budget in the generator's tokens; ``None`` is no limit.
            k: most spans; ``None`` is no limit.
            filter: condition on the documents' metadata (see :mod:`~.index.filters`).
            mode: ``hybrid`` joins features and words and lets the model read the best of them
                again, ``fast`` joins them without that, ``features`` is the index's codes alone,
                ``bm25`` words alone.
            scoring: ``attention`` or ``coactivation`` (Eq. 7 as published); by default the
                profile's better one.
            settings: every stage's settings, for this question only.
            token_scores: put the score of each token into ``Span.tokens``.
            ahead: what :meth:`read_ahead` gave for this question and others.

        Returns:
            Spans, best first: a list that notebooks show as a heatmap and that can be drawn or
            written as a page. Empty if the index is empty, nothing matches, or
            :attr:`abstention` is set and says so.

        Raises:
            InputError: an empty or too long question, a budget below 1, an unknown mode.
        """
        self.index.refresh()
        retriever = self._retriever if ahead is None else Retriever(ahead, self.profile)
        spans = retriever.retrieve(
            self.index.view,
            question,
            max_tokens=max_tokens,
            k=k,
            filter=filter,
            mode=mode,
            scoring=scoring,
            settings=settings or self.retrieve_settings,
            token_scores=token_scores,
        )
        if self.abstention and not self.abstention.relevant(self.generator, question, spans):
            spans = []
        return RetrievalResult(spans, question, self)

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
        ahead = self.read_ahead(questions)
        return [self.retrieve(question, ahead=ahead, **arguments) for question in questions]

    def read_ahead(self, questions: Iterable[str]) -> ReadAhead:
        """Project questions together, for a :meth:`retrieve` of each that follows.

        A question that cannot be used is left to its :meth:`retrieve`, which says why.
        """
        null = self.retrieve_settings.scoring.null_question
        texts = {*questions, *([null] if null is not None else [])}
        chunks = [
            chunk for text in sorted(texts) if (chunk := self._question_ids(text)) is not None
        ]
        return ReadAhead(
            self.generator,
            chunks,
            self.profile.layers,
            most_tokens=self.scan_settings.batch_tokens,
        )

    def _question_ids(self, text: str) -> np.ndarray | None:
        try:
            return np.concatenate(question_ids(self.generator, self.profile, text))
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
            self.generator,
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
            max_tokens: budget of the result in the generator's tokens, separators included.
            mode: as in :meth:`retrieve`.
            scoring: as in :meth:`retrieve`.
            settings: every stage's settings. Default: the engine's, and the text's first and last
                tokens (:func:`~s3_retriever.compressing.with_edges`).
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
        prompt, spans = fit_prompt(self.generator, question, found, max_tokens)
        return AnswerStream(self.generator.stream(prompt, max_new_tokens=max_new_tokens), spans)

    def explain(self, question: str, span: Span) -> Explanation:
        """Which tokens, heads and features made the model look at ``span``.

        Args:
            question: plain text.
            span: of ``retrieve(question)``.

        Raises:
            InputError: the span's document is not in the index, or is another text by now.
            ProfileError: the profile names no heads.
        """
        return explain(self, question, span)

    def why_not(self, question: str, doc_id: str, **retrieve: Any) -> WhyNot:
        """At which stage of a ``retrieve`` a document is lost, and what would bring it in.

        Args:
            question: plain text.
            doc_id: the document that was expected.
            **retrieve: the arguments of the :meth:`retrieve` that did not find it.

        Raises:
            InputError: as :meth:`retrieve`.
        """
        return why_not(self, question, doc_id, **retrieve)

    def memory_report(self, **others: Any) -> dict[str, int]:
        """Bytes of weights: the generator's, the autoencoders', and what ``others`` add to them.

        Args:
            **others: chat models, pipelines, modules by name; what they share counts once.
        """
        own = {"generator": self.generator, "autoencoders": list(self.profile.saes)}
        return memory_report({**own, **others})

    def info(self) -> dict[str, Any]:
        """What is in the index and in memory: counts, bytes by part, the profile."""
        self.index.refresh()
        return describe(self.index.folder, self.index.snapshot) | {
            "model": self.generator.name,
            "device": str(self.generator.device),
            "dtype": str(self.generator.model.dtype).removeprefix("torch."),
            "weight_bytes": self.generator.weight_bytes,
        }
