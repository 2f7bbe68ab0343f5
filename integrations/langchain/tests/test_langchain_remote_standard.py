"""LangChain's own test suites, over a server that runs."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_tests")

from langchain_endogenous import ChatEndogenous, EndogenousRetriever, EndogenousVectorStore
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.integration_tests.indexer import (
    AsyncDocumentIndexTestSuite,
    DocumentIndexerTestSuite,
)
from langchain_tests.unit_tests import ChatModelUnitTests

from tests.integrations.samples import QUESTIONS, TOKEN, needs_profile

pytestmark = [
    pytest.mark.slow,  # minutes on a busy machine
    needs_profile,
    pytest.mark.filterwarnings("ignore:.*is not an async function:pytest.PytestWarning"),
]


@pytest.mark.asyncio
class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.url = server.url

    @property
    def retriever_constructor(self):
        return EndogenousRetriever

    @property
    def retriever_constructor_params(self):
        return {"url": self.url, "token": TOKEN, "mode": "fast"}

    @property
    def retriever_query_example(self):
        return QUESTIONS[0]


@pytest.mark.asyncio
class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, server, namespace):
        return EndogenousVectorStore(url=server.url, token=TOKEN, namespace=namespace)


class TestDocumentIndex(DocumentIndexerTestSuite):
    @pytest.fixture
    def index(self, server, namespace):
        return EndogenousRetriever(url=server.url, token=TOKEN, namespace=namespace)


@pytest.mark.asyncio
class TestAsyncDocumentIndex(AsyncDocumentIndexTestSuite):
    @pytest.fixture
    def index(self, server, namespace):
        return EndogenousRetriever(url=server.url, token=TOKEN, namespace=namespace)


class TestChatModelUnits(ChatModelUnitTests):
    has_tool_calling = False  # bind_tools says why
    has_structured_output = False  # so does with_structured_output

    @property
    def chat_model_class(self):
        return ChatEndogenous

    @property
    def chat_model_params(self):
        return {"url": "http://127.0.0.1:8321", "token": TOKEN}


@pytest.mark.asyncio
class TestChatModel(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.url = server.url

    has_tool_calling = False  # bind_tools says why
    has_structured_output = False  # so does with_structured_output

    @property
    def chat_model_class(self):
        return ChatEndogenous

    @property
    def chat_model_params(self):
        return {"url": self.url, "token": TOKEN, "max_tokens": 12}

    @property
    def supports_model_override(self):
        return False  # a server has one model
