"""Three RAG programs of the kind LangChain's tutorials build, with either store.

python examples/swap_langchain.py embedding
python examples/swap_langchain.py endogenous
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_endogenous import ChatEndogenous, EndogenousRetriever, EndogenousVectorStore

from s3_retriever.models.transformers import TransformersModel

if __package__:
    from examples.samples import embed, texts
else:
    from samples import embed, texts

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


class MiniLM(Embeddings):
    """The embedding side."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Vectors of passages."""
        return embed(texts)

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return embed([text])[0]


def pages() -> list[Document]:
    """What a loader would bring."""
    return [Document(text, metadata={"source": name}) for name, text in texts().items()]


def split(documents: Sequence[Document]) -> list[Document]:
    """Paragraphs: an embedding store needs pieces that fit its model."""
    return [
        Document(part, metadata=document.metadata)
        for document in documents
        for part in document.page_content.split("\n\n")
        if part.strip()
    ]


# the two lines, twice


def with_embeddings() -> VectorStore:
    """Before."""
    return InMemoryVectorStore.from_documents(split(pages()), MiniLM())


def with_endogenous() -> VectorStore:
    """After."""
    return EndogenousVectorStore.from_documents(pages(), spans=True)


# what stays the same


def semantic_search(store: VectorStore) -> list[str]:
    """Semantic search: the store as a retriever, several questions at once."""
    retriever = store.as_retriever(search_kwargs={"k": 1})
    asked = [
        "Who gave his name to the germ that caused the plague?",
        "How much did oil cost when the embargo ended?",
    ]
    return [
        f"{document.metadata['source']}: {document.page_content}"
        for (document,) in retriever.batch(asked)
    ]


def join(documents: Sequence[Document]) -> str:
    """Documents as context."""
    return "\n\n".join(document.page_content for document in documents)


def question_answering(store: VectorStore, llm: BaseChatModel) -> str:
    """Question answering: retrieve, fill a prompt, answer."""
    prompt = ChatPromptTemplate.from_template(
        "{context}\n\nUsing the text above, answer in one sentence: {question}"
    )
    chain: Runnable[str, str] = (
        {
            "context": store.as_retriever(search_kwargs={"k": 3}) | join,
            "question": RunnablePassthrough(),
        }
        | prompt
        | llm
        | StrOutputParser()
    )
    return chain.invoke("Which ancient Greek wrote five volumes on drugs?")


def conversation(store: VectorStore, llm: BaseChatModel) -> str:
    """A conversation: the second question only makes sense after the first."""
    condense = (
        ChatPromptTemplate.from_messages(
            [
                ("human", "Tell me about the Black Death."),
                ("ai", "It was a plague in the 14th century."),
                ("human", "Write one search query for this question about it: {question}"),
            ]
        )
        | llm.bind(stop=["\n"])
        | StrOutputParser()
    )
    answer = ChatPromptTemplate.from_template(
        "{context}\n\nUsing the text above, answer in one sentence: {question}"
    )
    retriever = store.as_retriever(search_kwargs={"k": 3})
    chain: Runnable[str, str] = (
        {"context": condense | retriever | join, "question": RunnablePassthrough()}
        | answer
        | llm
        | StrOutputParser()
    )
    return chain.invoke("How did the plague reach Europe?")


def main(kind: str) -> dict[str, list[str]]:
    """What the three programs say with a store of one kind."""
    if kind == "endogenous":
        store: VectorStore = with_endogenous()
        llm: BaseChatModel = EndogenousRetriever(engine=store.engine).llm  # type: ignore[attr-defined]
    else:
        store, llm = with_embeddings(), ChatEndogenous(llm=TransformersModel.load(MODEL))
    llm = llm.model_copy(update={"max_tokens": 64})
    return {
        "semantic search": semantic_search(store),
        "question answering": [question_answering(store, llm)],
        "conversation": [conversation(store, llm)],
    }


if __name__ == "__main__":
    for name, said in main(sys.argv[1]).items():
        print(f"{name}:", *said, sep="\n  ")
