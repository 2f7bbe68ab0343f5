"""A LlamaIndex retriever that is the resident language model's own attention.

Example:
    >>> from llama_index.core import Document
    >>> from llama_index.retrievers.endogenous import EndogenousRetriever
    >>> texts = ["Cats sleep most of the day.", "Dogs bark at strangers."]
    >>> retriever = EndogenousRetriever.from_documents([Document(text=text) for text in texts])
    >>> retriever.retrieve("How long do cats sleep?")[0].text
    'Cats sleep most of the day.'
"""

from __future__ import annotations

try:
    import llama_index.core  # noqa: F401
except ImportError as e:
    raise ImportError(
        "llama_index.retrievers.endogenous needs llama-index-core, which is not installed; "
        'run: pip install "s3-retriever[llama-index]"'
    ) from e

from llama_index.retrievers.endogenous.base import EndogenousRetriever
from llama_index.retrievers.endogenous.docstore import EndogenousDocumentStore
from llama_index.retrievers.endogenous.indices import EndogenousIndex
from llama_index.retrievers.endogenous.llms import EndogenousLLM
from llama_index.retrievers.endogenous.postprocessors import EndogenousPostprocessor

__all__ = [
    "EndogenousDocumentStore",
    "EndogenousIndex",
    "EndogenousLLM",
    "EndogenousPostprocessor",
    "EndogenousRetriever",
]
