"""LlamaIndex's nodes to documents, and spans to nodes."""

from __future__ import annotations

from hashlib import sha256

from llama_index.core.schema import (
    BaseNode,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)

from s3_retriever.types import Document, Span

__all__ = ["SCORE_KIND", "from_span", "to_document"]

SCORE_KIND = "sum of relative scores"
"""What a node's score is: it orders the nodes of one result, and says no more."""


class SpanNode(TextNode):
    """A span; two are the same if place and text are, whatever their ranks and scores.

    Retrievers that join the results of others (``QueryFusionRetriever``) tell nodes by their hash.
    """

    @property
    def hash(self) -> str:
        """A digest of id and text."""
        return sha256(f"{self.id_}\n{self.text}".encode("utf-8", "surrogatepass")).hexdigest()


def to_document(node: BaseNode) -> Document:
    """The engine's form of a document or node, under its id."""
    return Document(node.node_id, node.get_content(metadata_mode=MetadataMode.NONE), node.metadata)


def from_span(span: Span) -> NodeWithScore:
    """A span as a node whose source is its document.

    Its metadata are the document's, and ``rank``, ``scores`` (by leg) and ``score_kind``, which are
    kept out of prompts; the document's own, untouched, are those of ``node.source_node``.

    Example:
        >>> found = from_span(Span("a", 5, 8, "fox", 0.5, {"bm25": 2.0}, 0, {"lang": "en"}))
        >>> found.node.node_id, found.node.start_char_idx, found.score
        ('a:5-8', 5, 0.5)
    """
    own = {"rank": span.rank, "scores": dict(span.scores), "score_kind": SCORE_KIND}
    node = SpanNode(
        id_=span.id,
        text=span.text,
        start_char_idx=span.start,
        end_char_idx=span.end,
        metadata={**span.metadata, **own},  # type: ignore[call-arg]  # mypy sees its alias only
        excluded_llm_metadata_keys=list(own),
        excluded_embed_metadata_keys=list(own),
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(
                node_id=span.doc_id,
                node_type=ObjectType.DOCUMENT,
                metadata=dict(span.metadata),
            )
        },
    )
    return NodeWithScore(node=node, score=span.score)
