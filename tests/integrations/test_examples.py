"""The examples in the docstrings."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.integrations.samples import needs_profile

LANGCHAIN = [
    "__init__",
    "adding",
    "chat_models",
    "compressors",
    "documents",
    "mmr",
    "questions",
    "retrievers",
    "vectorstores",
]
LLAMA_INDEX = [
    "__init__",
    "base",
    "docstore",
    "filters",
    "indices",
    "llms",
    "nodes",
    "postprocessors",
]


@needs_profile
@pytest.mark.parametrize(
    ("framework", "module"),
    [
        *(("langchain_core", f"langchain_endogenous.{name}") for name in LANGCHAIN),
        *(
            ("llama_index.core", f"llama_index.retrievers.endogenous.{name}")
            for name in LLAMA_INDEX
        ),
    ],
)
def test_examples(framework, module):
    pytest.importorskip(framework)
    result = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert result.attempted > 0
    assert result.failed == 0
