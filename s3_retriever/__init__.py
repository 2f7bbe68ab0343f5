"""The LLM you already run, as your retriever.

Example:
    >>> from s3_retriever import Document, Engine
    >>> engine = Engine.from_profile("smollm2-135m-instruct")
    >>> text = "Flour is milled from wheat. The mill was built beside the river in 1780."
    >>> report = engine.add([Document("mill", text)])
    >>> span = engine.retrieve("When was the mill built?", max_tokens=24)[0]
    >>> span.text
    'The mill was built beside the river in 1780.'
    >>> text[span.start : span.end] == span.text
    True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import (
    EndogenousError,
    IndexLockedError,
    IndexMismatchError,
    IndexStorageError,
    InputError,
    ModelError,
    ProfileError,
    RunnerError,
    ServerError,
)
from s3_retriever.settings import RetrieveSettings, ScanSettings
from s3_retriever.types import (
    AddReport,
    Answer,
    CompressedContext,
    Document,
    Span,
    SpanRef,
    TokenScore,
)

if TYPE_CHECKING:
    from langchain_endogenous import (
        ChatEndogenous,
        EndogenousCompressor,
        EndogenousRetriever,
        EndogenousTranslator,
        EndogenousVectorStore,
    )
    from llama_index.retrievers.endogenous import (
        EndogenousDocumentStore,
        EndogenousIndex,
        EndogenousLLM,
        EndogenousPostprocessor,
    )
    from llama_index.retrievers.endogenous import EndogenousRetriever as EndogenousNodeRetriever

    from s3_retriever.client import Client
    from s3_retriever.encoding.ray_runner import RayRunner
    from s3_retriever.engine import Engine
    from s3_retriever.explain.abstain import Abstention
    from s3_retriever.explain.result import RetrievalResult
    from s3_retriever.models.endpoint import EndpointJudge
    from s3_retriever.models.first_layers import FirstLayers
    from s3_retriever.models.transformers import TransformersModel
    from s3_retriever.models.vllm import VllmModel
    from s3_retriever.profiles.profile import Profile

__all__ = [
    "Abstention",
    "AddReport",
    "Answer",
    "ChatEndogenous",
    "Client",
    "CompressedContext",
    "Document",
    "EndogenousCompressor",
    "EndogenousDocumentStore",
    "EndogenousError",
    "EndogenousIndex",
    "EndogenousLLM",
    "EndogenousNodeRetriever",
    "EndogenousPostprocessor",
    "EndogenousRetriever",
    "EndogenousTranslator",
    "EndogenousVectorStore",
    "EndpointJudge",
    "Engine",
    "FirstLayers",
    "IndexLockedError",
    "IndexMismatchError",
    "IndexStorageError",
    "InputError",
    "ModelError",
    "Profile",
    "ProfileError",
    "RayRunner",
    "RetrievalResult",
    "RetrieveSettings",
    "RunnerError",
    "ScanSettings",
    "ServerError",
    "Span",
    "SpanRef",
    "TokenScore",
    "TransformersModel",
    "VllmModel",
    "__version__",
]

__version__ = "0.1.0"

_LAZY = {
    "Abstention": "s3_retriever.explain.abstain",
    "Client": "s3_retriever.client",
    "EndpointJudge": "s3_retriever.models.endpoint",
    "Engine": "s3_retriever.engine",
    "FirstLayers": "s3_retriever.models.first_layers",
    "Profile": "s3_retriever.profiles.profile",
    "RayRunner": "s3_retriever.encoding.ray_runner",
    "RetrievalResult": "s3_retriever.explain.result",
    "TransformersModel": "s3_retriever.models.transformers",
    "VllmModel": "s3_retriever.models.vllm",
    "ChatEndogenous": "langchain_endogenous",
    "EndogenousCompressor": "langchain_endogenous",
    "EndogenousRetriever": "langchain_endogenous",
    "EndogenousTranslator": "langchain_endogenous",
    "EndogenousVectorStore": "langchain_endogenous",
    "EndogenousDocumentStore": "llama_index.retrievers.endogenous",
    "EndogenousIndex": "llama_index.retrievers.endogenous",
    "EndogenousLLM": "llama_index.retrievers.endogenous",
    "EndogenousNodeRetriever": "llama_index.retrievers.endogenous",
    "EndogenousPostprocessor": "llama_index.retrievers.endogenous",
}
"""Names that pull in torch or a framework; imported when they are first used."""

_NAMED_THERE = {"EndogenousNodeRetriever": "EndogenousRetriever"}
"""The frameworks' parts each have a retriever of that name."""

_DISTRIBUTIONS = {
    "langchain_endogenous": ("langchain-endogenous", "langchain"),
    "llama_index.retrievers.endogenous": ("llama-index-retrievers-endogenous", "llama-index"),
}
"""By module: what brings it, and the extra."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _LAZY[name]
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as e:
        if place not in _DISTRIBUTIONS or not f"{place}.".startswith(f"{e.name}."):
            raise
        distribution, extra = _DISTRIBUTIONS[place]
        raise ImportError(
            f"{name} is in the distribution {distribution}, which is not installed; "
            f'run: pip install "s3-retriever[{extra}]"'
        ) from e
    return getattr(module, _NAMED_THERE.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
