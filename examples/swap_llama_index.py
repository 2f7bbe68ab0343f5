"""Three RAG programs of the kind LlamaIndex's tutorials build, with either index.

python examples/swap_llama_index.py embedding
python examples/swap_llama_index.py endogenous
"""

from __future__ import annotations

import sys
from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.indices.base import BaseIndex
from llama_index.core.llms import LLM
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.retrievers.endogenous import EndogenousIndex, EndogenousLLM

from s3_retriever.models.transformers import TransformersModel

if __package__:
    from examples.samples import embed, texts
else:
    from samples import embed, texts

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


class MiniLM(BaseEmbedding):
    """The embedding side."""

    def _get_query_embedding(self, query: str) -> list[float]:
        return embed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return embed([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return embed(texts)


def documents() -> list[Document]:
    """What a reader would bring."""
    return [
        Document(text=text, id_=name, metadata={"source": name}) for name, text in texts().items()
    ]


# the two lines, twice


def with_embeddings() -> BaseIndex[Any]:
    """Before."""
    return VectorStoreIndex.from_documents(documents(), embed_model=MiniLM())


def with_endogenous() -> BaseIndex[Any]:
    """After."""
    return EndogenousIndex.from_documents(documents())


# what stays the same


def starter(index: BaseIndex[Any], llm: LLM) -> str:
    """The starter: an index, a query engine, a question."""
    engine = index.as_query_engine(llm=llm, similarity_top_k=2)
    return str(engine.query("What lured early movie makers away from New York?"))


def citations(index: BaseIndex[Any], llm: LLM) -> list[str]:
    """Citations: an answer whose sources are numbered."""
    engine = CitationQueryEngine.from_args(index, llm=llm, similarity_top_k=2)
    answer = engine.query("Which ancient Greek wrote five volumes on drugs?")
    return [str(answer), *(found.node.get_content() for found in answer.source_nodes[:1])]


def chat(index: BaseIndex[Any], llm: LLM) -> list[str]:
    """A chat engine that looks up each message and streams."""
    engine = index.as_chat_engine(chat_mode="context", llm=llm, similarity_top_k=2)  # type: ignore[arg-type]
    first = engine.chat("How did the plague reach Europe?")
    second = engine.stream_chat("Who brought it to Sicily?")
    return [str(first), "".join(second.response_gen)]


def main(kind: str) -> dict[str, list[str]]:
    """What the three programs say with an index of one kind."""
    if kind == "endogenous":
        index = with_endogenous()
        llm = index.engine.llm  # type: ignore[attr-defined]
    else:
        index, llm = with_embeddings(), TransformersModel.load(MODEL)
    llm = EndogenousLLM(llm=llm, max_tokens=64)
    return {
        "starter": [starter(index, llm)],
        "citations": citations(index, llm),
        "chat": chat(index, llm),
    }


if __name__ == "__main__":
    for name, said in main(sys.argv[1]).items():
        print(f"{name}:", *said, sep="\n  ")
