"""Any retriever's documents, cut down to what a question needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from langchain_endogenous.documents import from_span, to_document
from s3_retriever.arguments import listed
from s3_retriever.integration import (
    AnyEngine,
    Source,
    Work,
    opened,
    restored,
    select_spans,
    source_of,
)
from s3_retriever.settings import Scoring

__all__ = ["EndogenousCompressor"]


class EndogenousCompressor(BaseDocumentCompressor):
    """Cuts documents of any retriever down to the spans that matter, under a token budget.

    The documents are read for the question and forgotten; the engine's own index is not touched.
    In place of ``engine`` it takes the ``url`` of a server (``s3-retriever serve``), with ``token``
    and ``timeout`` as of :class:`s3_retriever.client.Client`; awaiting then takes no thread.
    A span's metadata are those of :func:`~langchain_endogenous.documents.from_span`: its place in
    the document it came from, and that document's metadata.

    Example:
        >>> from s3_retriever import Engine
        >>> compressor = EndogenousCompressor(engine=Engine.from_profile(), max_tokens=12)
        >>> found = [Document("The mill is old. It was built in 1780. Flour is white.", id="mill")]
        >>> compressor.compress_documents(found, "When was the mill built?")[0].page_content
        'It was built in 1780.'
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True,
        extra="forbid",
        hide_input_in_errors=True,  # a token may be among it
    )

    engine: AnyEngine = Field(exclude=True, repr=False)
    """The model, or a client of a server's; shared."""
    max_tokens: int | None = Field(default=512, ge=1)
    """Budget of all that is left, in the model's own tokens; ``None`` is no limit."""
    k: int | None = Field(default=None, ge=1)
    """Most spans; ``None`` is no limit."""
    mode: str | None = None
    """As in :meth:`s3_retriever.Engine.retrieve`."""
    scoring: Scoring | None = None
    """As in :meth:`s3_retriever.Engine.retrieve`."""

    @model_validator(mode="before")
    @classmethod
    def _connected(cls, data: Any) -> Any:
        return opened(data, "engine", lambda client: client)

    @model_validator(mode="after")
    def _known_mode(self) -> Self:
        self._source.check_mode(self.mode)
        return self

    @property
    def _source(self) -> Source:
        return source_of(self.engine)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The spans of ``documents`` that ``query`` needs, best first.

        Args:
            documents: of any retriever; empty ones are left out.
            query: plain text.
            callbacks: LangChain's; nothing in here reports to them.

        Raises:
            InputError: the query is empty, or there is something else than documents.
        """
        return self._source.run(self._cut(documents, query))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """As :meth:`compress_documents`; the event loop stays free."""
        return await self._source.arun(self._cut(documents, query))

    def _cut(self, documents: Sequence[Document], query: str) -> Work[list[Document]]:
        spans = yield from select_spans(
            query,
            [to_document(d) for d in listed(documents, "documents", Document)],
            max_tokens=self.max_tokens,
            k=self.k,
            mode=self.mode,
            scoring=self.scoring,
        )
        return [from_span(span) for span in spans]

    def to_config(self) -> dict[str, Any]:
        """The compressor as JSON values: its engine's settings and its own, no weights."""
        return {"engine": self.engine.to_config(), **self.model_dump(mode="json")}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], *, engine: AnyEngine | None = None
    ) -> EndogenousCompressor:
        """Make the compressor that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return restored(cls, config, engine)
