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

from s3_retriever.errors import EndogenousError
from s3_retriever.settings import RetrieveSettings, ScanSettings
from s3_retriever.types import AddReport, Answer, CompressedContext, Document, Span, TokenScore

if TYPE_CHECKING:
    from langchain_endogenous import EndogenousRetriever

    from s3_retriever.client import Client
    from s3_retriever.engine import Engine
    from s3_retriever.profiles.profile import Profile

__all__ = [
    "AddReport",
    "Answer",
    "Client",
    "CompressedContext",
    "Document",
    "EndogenousError",
    "EndogenousRetriever",
    "Engine",
    "Profile",
    "RetrieveSettings",
    "ScanSettings",
    "Span",
    "TokenScore",
    "__version__",
]

__version__ = "0.1.0"

_LAZY = {
    "Client": "s3_retriever.client",
    "Engine": "s3_retriever.engine",
    "Profile": "s3_retriever.profiles.profile",
    "EndogenousRetriever": "langchain_endogenous",
}
"""Names that pull in torch or a framework; imported when they are first used."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(_LAZY[name])
    except ModuleNotFoundError as e:
        if e.name != "langchain_endogenous":
            raise
        raise ImportError(
            f"{name} is in the distribution langchain-endogenous, which is not installed; "
            'run: pip install "s3-retriever[langchain]"'
        ) from e
    return getattr(module, name)
