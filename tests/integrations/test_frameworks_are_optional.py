"""What is imported when, and what is said when a framework is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    """Run ``code`` in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def test_the_package_imports_neither_a_framework_nor_torch():
    code = (
        "import sys, s3_retriever\n"
        "heavy = {'torch', 'transformers', 'langchain_core', 'llama_index'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert run(code) == "[]"


@pytest.mark.parametrize("framework", ["langchain_core", "llama_index.core"])
def test_the_engine_needs_no_framework(framework):
    assert run(f"import sys; sys.modules[{framework!r}] = None\nimport s3_retriever.engine") == ""


@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        ("langchain_core", "import langchain_endogenous", "langchain"),
        ("langchain_core", "from s3_retriever import EndogenousRetriever", "langchain"),
        ("langchain_endogenous", "from s3_retriever import EndogenousRetriever", "langchain"),
        ("llama_index.core", "import llama_index.retrievers.endogenous", "llama-index"),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(missing, statement, extra):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"try:\n    {statement}\nexcept ImportError as e:\n    print(e)"
    )
    assert f'pip install "s3-retriever[{extra}]"' in run(code)
