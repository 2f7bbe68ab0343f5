"""LlamaIndex's nodes to documents, and spans to nodes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

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

__all__ = ["SCORE_KIND", "from_span", "own_metadata", "ref_doc_id", "to_document"]

SCORE_KIND = "sum of relative scores"
"""What a node's score is: it orders the nodes of one result, and says no more."""

_NODE = "_node"
"""Metadata field of what a node says of itself: whose part it is, what prompts leave out."""
_HIDDEN = ("excluded_llm_metadata_keys", "excluded_embed_metadata_keys")


class SpanNode(TextNode):
    """A span; two are the same if place and text are, whatever their ranks and scores.

    Retrievers that join the results of others (``QueryFusionRetriever``) tell nodes by their hash.
    """

    @property
    def hash(self) -> str:
        """A digest of id and text."""
        return sha256(f"{self.id_}\n{self.text}".encode("utf-8", "surrogatepass")).hexdigest()


def to_document(node: BaseNode) -> Document:
    """The engine's form of a document or node, under its id.

    Readers mark metadata that a prompt leaves out, and splitters say whose part a node is: both go
    along in the field ``_node``, if there is anything to say.
    """
    said: dict[str, Any] = {name: keys for name in _HIDDEN if (keys := getattr(node, name))}
    if (source := node.source_node) is not None and source.node_id != node.node_id:
        said["ref_doc_id"] = source.node_id
    metadata = {**node.metadata, _NODE: said} if said else node.metadata
    return Document(node.node_id, node.get_content(metadata_mode=MetadataMode.NONE), metadata)


def own_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as the document came with.

    Example:
        >>> own_metadata({"year": 1780, "_node": {"ref_doc_id": "a"}})
        {'year': 1780}
    """
    return {name: value for name, value in metadata.items() if name != _NODE}


def ref_doc_id(doc_id: str, metadata: Mapping[str, Any]) -> str:
    """The document that a node in the index is a part of; one that is whole is its own."""
    return str(metadata.get(_NODE, {}).get("ref_doc_id", doc_id))


def from_span(span: Span) -> NodeWithScore:
    """A span as a node whose source is its document.

    Its metadata are the document's, and ``rank``, ``scores`` (by leg) and ``score_kind``, which are
    kept out of prompts; the document's own, untouched, are those of ``node.source_node``.

    Example:
        >>> found = from_span(Span("a", 5, 8, "fox", 0.5, {"bm25": 2.0}, 0, {"lang": "en"}))
        >>> found.node.node_id, found.node.start_char_idx, found.score
        ('a:5-8', 5, 0.5)
    """
    said = span.metadata.get(_NODE, {})
    metadata = own_metadata(span.metadata)
    own = {"rank": span.rank, "scores": dict(span.scores), "score_kind": SCORE_KIND}
    node = SpanNode(
        id_=span.id,
        text=span.text,
        start_char_idx=span.start,
        end_char_idx=span.end,
        metadata={**metadata, **own},  # type: ignore[call-arg]  # mypy sees its alias only
        excluded_llm_metadata_keys=list(dict.fromkeys([*said.get(_HIDDEN[0], ()), *own])),
        excluded_embed_metadata_keys=list(dict.fromkeys([*said.get(_HIDDEN[1], ()), *own])),
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(
                node_id=span.doc_id,
                node_type=ObjectType.DOCUMENT,
                metadata=metadata,
            )
        },
    )
    return NodeWithScore(node=node, score=span.score)
