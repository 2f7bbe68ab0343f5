"""LangChain components over one resident language model: it retrieves and it answers.

Example:
    >>> from langchain_endogenous import EndogenousRetriever
    >>> texts = ["Cats sleep most of the day.", "Dogs bark at strangers."]
    >>> retriever = EndogenousRetriever.from_texts(texts)
    >>> retriever.invoke("How long do cats sleep?", k=1)[0].page_content
    'Cats sleep most of the day.'
"""

from __future__ import annotations

try:
    import langchain_core  # noqa: F401
except ImportError as e:
    raise ImportError(
        "langchain_endogenous needs langchain-core, which is not installed; "
        'run: pip install "s3-retriever[langchain]"'
    ) from e

from langchain_endogenous.chat_models import ChatEndogenous
from langchain_endogenous.compressors import EndogenousCompressor
from langchain_endogenous.retrievers import EndogenousRetriever
from langchain_endogenous.self_query import EndogenousTranslator
from langchain_endogenous.vectorstores import EndogenousVectorStore

__all__ = [
    "ChatEndogenous",
    "EndogenousCompressor",
    "EndogenousRetriever",
    "EndogenousTranslator",
    "EndogenousVectorStore",
]
