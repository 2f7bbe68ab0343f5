"""Any retriever's nodes, cut down to what a question needs."""

from __future__ import annotations

from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.retrievers.endogenous.nodes import from_span, to_document
from pydantic import Field

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.integration import restored, select_spans
from s3_retriever.retrieval.presets import ModeName
from s3_retriever.settings import Scoring

__all__ = ["EndogenousPostprocessor"]


class EndogenousPostprocessor(BaseNodePostprocessor):
    """Cuts nodes of any retriever down to the spans that matter, under a token budget.

    The nodes are read for the question and forgotten; the engine's own index is not touched. A
    span's source is the node it was cut from.

    Example:
        >>> from llama_index.core.schema import TextNode
        >>> from s3_retriever import Engine
        >>> cut = EndogenousPostprocessor(engine=Engine.from_profile(), max_tokens=12)
        >>> node = TextNode(text="The mill is old. It was built in 1780. Flour is white.")
        >>> found = [NodeWithScore(node=node, score=0.3)]
        >>> cut.postprocess_nodes(found, query_str="When was the mill built?")[0].text
        'It was built in 1780.'
    """

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

    @classmethod
    def class_name(cls) -> str:
        """LlamaIndex's name for this class."""
        return "EndogenousPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("give the question, too: query_str or query_bundle")
        spans = select_spans(
            self.engine,
            query_bundle.query_str,
            [to_document(found.node) for found in nodes],
            max_tokens=self.max_tokens,
            k=self.k,
            mode=self.mode,
            scoring=self.scoring,
        )
        return [from_span(span) for span in spans]

    def to_config(self) -> dict[str, Any]:
        """The postprocessor as JSON values: its engine's settings and its own, no weights."""
        own = self.model_dump(mode="json", include={"max_tokens", "k", "mode", "scoring"})
        return {"engine": self.engine.to_config(), **own}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], *, engine: Engine | None = None
    ) -> EndogenousPostprocessor:
        """Make the postprocessor that :meth:`to_config` describes.

        Args:
            config: of :meth:`to_config`, by way of JSON or not.
            engine: use this one instead of loading what the configuration names.
        """
        return restored(cls, config, engine)
