"""Any retriever's nodes, cut down to what a question needs."""

from __future__ import annotations

from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.retrievers.endogenous.nodes import nodes_within, to_document
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from s3_retriever.errors import InputError
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

__all__ = ["EndogenousPostprocessor"]


class EndogenousPostprocessor(BaseNodePostprocessor):
    """Cuts nodes of any retriever down to the spans that matter, under a token budget.

    The nodes are read for the question and forgotten; the engine's own index is not touched. A
    span's source is the node it was cut from. In place of ``engine`` it takes the ``url`` of a
    server (``s3-retriever serve``), with ``token`` and ``timeout`` as of
    :class:`s3_retriever.client.Client`; awaiting then takes no thread.

    Example:
        >>> from llama_index.core.schema import TextNode
        >>> from s3_retriever import Engine
        >>> cut = EndogenousPostprocessor(engine=Engine.from_profile(), max_tokens=12)
        >>> node = TextNode(text="The mill is old. It was built in 1780. Flour is white.")
        >>> found = [NodeWithScore(node=node, score=0.3)]
        >>> cut.postprocess_nodes(found, query_str="When was the mill built?")[0].text
        'It was built in 1780.'
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # a token may be among it

    engine: AnyEngine = Field(exclude=True, repr=False)
    """The model, or a client of a server's; shared."""
    max_tokens: int | None = Field(default=512, ge=1)
    """Budget of all that is left, in the model's own tokens, as a synthesizer shows it: with the
    metadata before each text and the lines between; ``None`` is no limit."""
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

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for this class."""
        return "EndogenousPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return self._source.run(self._cut(nodes, query_bundle))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await self._source.arun(self._cut(nodes, query_bundle))

    def _cut(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None
    ) -> Work[list[NodeWithScore]]:
        if query_bundle is None:
            raise InputError("give the question, too: query_str or query_bundle")
        spans = yield from select_spans(
            query_bundle.query_str,
            [to_document(found.node) for found in nodes],
            max_tokens=self.max_tokens,
            k=self.k,
            mode=self.mode,
            scoring=self.scoring,
        )
        return (yield from nodes_within(spans, self.max_tokens))

    def to_config(self) -> dict[str, Any]:
        """The postprocessor as JSON values: its engine's settings and its own, no weights."""
        own = self.model_dump(mode="json", include={"max_tokens", "k", "mode", "scoring"})
        return {"engine": self.engine.to_config(), **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], *, engine: AnyEngine | None = None
    ) -> EndogenousPostprocessor:
        """Make the postprocessor that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return restored(cls, config, engine)
