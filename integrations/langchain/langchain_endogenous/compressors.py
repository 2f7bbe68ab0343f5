"""Any retriever's documents, cut down to what a question needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field

from langchain_endogenous.documents import from_span, to_document
from s3_retriever.engine import Engine
from s3_retriever.integration import restored, select_spans
from s3_retriever.retrieval.presets import ModeName
from s3_retriever.settings import Scoring

__all__ = ["EndogenousCompressor"]


class EndogenousCompressor(BaseDocumentCompressor):
    """Cuts documents of any retriever down to the spans that matter, under a token budget.

    The documents are read for the question and forgotten; the engine's own index is not touched.
    A span's metadata are those of :func:`~langchain_endogenous.documents.from_span`: its place in
    the document it came from, and that document's metadata.

    Example:
        >>> from s3_retriever import Engine
        >>> compressor = EndogenousCompressor(engine=Engine.from_profile(), max_tokens=12)
        >>> found = [Document("The mill is old. It was built in 1780. Flour is white.", id="mill")]
        >>> compressor.compress_documents(found, "When was the mill built?")[0].page_content
        'It was built in 1780.'
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    engine: Engine = Field(exclude=True, repr=False)
    """The model; shared."""
    max_tokens: int | None = Field(default=512, ge=1)
    """Budget of all that is left, in the model's own tokens; ``None`` is no limit."""
    k: int | None = Field(default=None, ge=1)
    """Most spans; ``None`` is no limit."""
    mode: ModeName | None = None
    """As in :meth:`s3_retriever.Engine.retrieve`."""
    scoring: Scoring | None = None
    """As in :meth:`s3_retriever.Engine.retrieve`."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The spans of ``documents`` that ``query`` needs, best first.

        Args:
            documents: of any retriever; empty ones are left out.
            query: plain text.
            callbacks: LangChain's; nothing in here reports to them.

        Raises:
            InputError: the query is empty.
        """
        spans = select_spans(
            self.engine,
            query,
            [to_document(document) for document in documents],
            max_tokens=self.max_tokens,
            k=self.k,
            mode=self.mode,
            scoring=self.scoring,
        )
        return [from_span(span) for span in spans]

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """As :meth:`compress_documents`; the event loop stays free."""
        return await run_in_executor(
            None, partial(self.compress_documents, documents, query, callbacks)
        )

    def to_config(self) -> dict[str, Any]:
        """The compressor as JSON values: its engine's settings and its own, no weights."""
        return {"engine": self.engine.to_config(), **self.model_dump(mode="json")}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], *, engine: Engine | None = None
    ) -> EndogenousCompressor:
        """Make the compressor that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return restored(cls, config, engine)
