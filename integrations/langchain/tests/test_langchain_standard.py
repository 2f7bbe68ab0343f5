"""LangChain's own test suites, over the real model."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_tests")

from langchain_endogenous import ChatEndogenous, EndogenousRetriever, EndogenousVectorStore
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.integration_tests.indexer import (
    AsyncDocumentIndexTestSuite,
    DocumentIndexerTestSuite,
)
from langchain_tests.unit_tests import ChatModelUnitTests

from s3_retriever.engine import Engine
from tests.integrations.samples import QUESTIONS, needs_profile

pytestmark = [
    needs_profile,
    pytest.mark.filterwarnings("ignore:.*is not an async function:pytest.PytestWarning"),
]


@pytest.mark.asyncio
class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _engine(self, engine):
        self.engine = engine

    @property
    def retriever_constructor(self):
        return EndogenousRetriever

    @property
    def retriever_constructor_params(self):
        return {"engine": self.engine}

    @property
    def retriever_query_example(self):
        return QUESTIONS[0]


@pytest.fixture
def empty(engine, tmp_path):
    """A new index on disk around the same weights."""
    return Engine(engine.llm, engine.profile, tmp_path / "index")


@pytest.mark.asyncio
class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, empty):
        return EndogenousVectorStore(empty)


class TestDocumentIndex(DocumentIndexerTestSuite):
    @pytest.fixture
    def index(self, empty):
        return EndogenousRetriever(engine=empty)


@pytest.mark.asyncio
class TestAsyncDocumentIndex(AsyncDocumentIndexTestSuite):
    @pytest.fixture
    def index(self, empty):
        return EndogenousRetriever(engine=empty)


class TestChatModel(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _llm(self, engine):
        self.llm = engine.llm

    has_tool_calling = False  # bind_tools says why
    has_structured_output = False  # so does with_structured_output

    @property
    def chat_model_class(self):
        return ChatEndogenous

    @property
    def chat_model_params(self):
        return {"llm": self.llm}
