"""What is imported when, and what is said when a framework is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integrations.samples import TOKEN


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


REMOTE = """
import asyncio, sys
from langchain_endogenous import ChatEndogenous, EndogenousRetriever, EndogenousVectorStore
from llama_index.core import Document
from llama_index.retrievers.endogenous import EndogenousIndex, EndogenousLLM
server = {{"url": {url!r}, "token": {token!r}}}
found = EndogenousRetriever(**server, mode="bm25").invoke("Who built the lighthouse?")
store = EndogenousVectorStore(**server, mode="bm25")
like = asyncio.run(store.asimilarity_search("lighthouse", k=1))
said = ChatEndogenous(**server, max_tokens=2).invoke("Hi").content
index = EndogenousIndex(**server, namespace={namespace!r})
index.insert(Document(text="The owl is grey.", id_="owl"))
written = EndogenousLLM(**server, max_tokens=2).complete("Hi").text
assert found and like and said and written and list(index.ref_doc_info) == ["owl"]
print(sorted({{"torch", "transformers", "tantivy", "fastapi"}} & set(sys.modules)))
"""


def test_clients_of_a_server_import_no_torch(server, namespace):
    for framework in ("langchain_core", "llama_index.core"):
        pytest.importorskip(framework)
    assert run(REMOTE.format(url=server.url, token=TOKEN, namespace=namespace)) == "[]"


def test_what_the_client_misses_is_named_with_the_remedy():
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "try:\n    from s3_retriever import Client\nexcept ImportError as e:\n    print(e)"
    )
    assert 'pip install "s3-retriever[client]"' in run(code)
