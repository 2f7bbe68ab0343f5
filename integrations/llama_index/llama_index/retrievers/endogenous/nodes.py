"""LlamaIndex's nodes to documents, and spans to nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from llama_index.core.schema import Document as LlamaDocument
from pydantic import BaseModel, ConfigDict, ValidationError

from s3_retriever.errors import InputError
from s3_retriever.integration import Work, within_budget
from s3_retriever.types import Document, Span

__all__ = [
    "SCORE_KIND",
    "from_span",
    "nodes_within",
    "own_metadata",
    "ref_doc_id",
    "stored_name",
    "to_document",
    "to_node",
]

SCORE_KIND = "sum of relative scores"
"""What a node's score is: it orders the nodes of one result, and says no more."""

_NODE = "_node"
"""Metadata field of what a node says of itself: whose part it is, what prompts leave out."""
_ESCAPE = "~"
"""Put behind a document's own field of that name, and behind one that looks escaped already."""
_HIDDEN = ("excluded_llm_metadata_keys", "excluded_embed_metadata_keys")


class _Said(BaseModel):
    """What :data:`_NODE` holds; anything else under that name is the document's own."""

    model_config = ConfigDict(extra="forbid")

    excluded_llm_metadata_keys: list[str] = []
    excluded_embed_metadata_keys: list[str] = []
    ref_doc_id: str | None = None


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
    along in the field ``_node``, if there is anything to say. A field of the document's own of that
    name is kept under :func:`stored_name`.

    Raises:
        InputError: it is no node.
    """
    if not isinstance(node, BaseNode):
        raise InputError(f"it is a {type(node).__name__}, not a document or node of LlamaIndex")
    said: dict[str, Any] = {name: keys for name in _HIDDEN if (keys := getattr(node, name))}
    if (source := node.source_node) is not None and source.node_id != node.node_id:
        said["ref_doc_id"] = source.node_id
    metadata = {stored_name(name): value for name, value in node.metadata.items()}
    if said:
        metadata[_NODE] = said
    return Document(node.node_id, node.get_content(metadata_mode=MetadataMode.NONE), metadata)


def to_node(document: Document) -> LlamaDocument | TextNode:
    """A document of the index as what was added: a whole document, or a part of one.

    Example:
        >>> node = to_node(Document("a", "Fox.", {"lang": "en", "_node": {"ref_doc_id": "b"}}))
        >>> node.node_id, node.text, node.metadata, node.ref_doc_id
        ('a', 'Fox.', {'lang': 'en'}, 'b')
    """
    said = _said(document.metadata) or _Said()
    kind = LlamaDocument if said.ref_doc_id is None else TextNode
    node = kind(
        id_=document.id,
        text=document.text,
        excluded_llm_metadata_keys=said.excluded_llm_metadata_keys,
        excluded_embed_metadata_keys=said.excluded_embed_metadata_keys,
    )
    node.metadata.update(own_metadata(document.metadata))
    if said.ref_doc_id is not None:
        source = RelatedNodeInfo(node_id=said.ref_doc_id, node_type=ObjectType.DOCUMENT)
        node.relationships[NodeRelationship.SOURCE] = source
    return node


def stored_name(name: Any) -> Any:
    """The name under which the index keeps a metadata field.

    Example:
        >>> stored_name("year"), stored_name("_node"), stored_name("_node~")
        ('year', '_node~', '_node~~')
    """
    return name + _ESCAPE if _is_ours(name) else name


def own_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as the document came with.

    Example:
        >>> own_metadata({"year": 1780, "_node": {"ref_doc_id": "a"}, "_node~": "mine"})
        {'year': 1780, '_node': 'mine'}
    """
    ours = _said(metadata) is not None
    return {
        name[: -len(_ESCAPE)] if _is_ours(name) and name != _NODE else name: value
        for name, value in metadata.items()
        if not (ours and name == _NODE)
    }


def ref_doc_id(doc_id: str, metadata: Mapping[str, Any]) -> str:
    """The document that a node in the index is a part of; one that is whole is its own."""
    said = _said(metadata)
    return (said.ref_doc_id if said else None) or doc_id


def _is_ours(name: Any) -> bool:
    return isinstance(name, str) and name.rstrip(_ESCAPE) == _NODE


def _said(metadata: Mapping[str, Any]) -> _Said | None:
    """What a node says of itself, if it does and the field is not the document's own."""
    value = metadata.get(_NODE)
    try:
        return _Said.model_validate(dict(value)) if isinstance(value, Mapping) else None
    except ValidationError:
        return None


def from_span(span: Span) -> NodeWithScore:
    """A span as a node whose source is its document.

    Its metadata are the document's, and ``rank``, ``scores`` (by leg) and ``score_kind``, which are
    kept out of prompts; the document's own, untouched, are those of ``node.source_node``.

    Example:
        >>> found = from_span(Span("a", 5, 8, "fox", 0.5, {"bm25": 2.0}, 0, {"lang": "en"}))
        >>> found.node.node_id, found.node.start_char_idx, found.score
        ('a:5-8', 5, 0.5)
    """
    said = _said(span.metadata) or _Said()
    metadata = own_metadata(span.metadata)
    own = {"rank": span.rank, "scores": dict(span.scores), "score_kind": SCORE_KIND}
    node = SpanNode(
        id_=span.id,
        text=span.text,
        start_char_idx=span.start,
        end_char_idx=span.end,
        excluded_llm_metadata_keys=list(dict.fromkeys([*said.excluded_llm_metadata_keys, *own])),
        excluded_embed_metadata_keys=list(
            dict.fromkeys([*said.excluded_embed_metadata_keys, *own])
        ),
    )
    source = RelatedNodeInfo(node_id=span.doc_id, node_type=ObjectType.DOCUMENT)
    # not by the constructors, which check: another store's metadata are none of our business
    source.metadata.update(metadata)
    node.metadata.update({**metadata, **own})
    node.relationships[NodeRelationship.SOURCE] = source
    return NodeWithScore(node=node, score=span.score)


def nodes_within(spans: Sequence[Span], max_tokens: int | None) -> Work[list[NodeWithScore]]:
    """Spans as nodes, as many as a budget pays for in a prompt of LlamaIndex's synthesizers.

    A synthesizer puts a node's metadata before its text, but for those that
    ``excluded_llm_metadata_keys`` name, and an empty line between nodes. The worst nodes are left
    out. The best is always there; if its metadata leave its text no room, prompts do not show them.

    Args:
        spans: best first, whose texts fit the budget.
        max_tokens: in the model's own tokens; ``None`` is no limit.
    """
    found = [from_span(span) for span in spans]
    shown = [one.node.get_content(metadata_mode=MetadataMode.LLM) for one in found]
    n = yield from within_budget(shown, max_tokens)
    if n == 0 and found:
        best = found[0].node
        best.excluded_llm_metadata_keys = list(best.metadata)
        n = 1
    return found[:n]
