"""LangChain's own test suite for retrievers."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_tests")

from langchain_endogenous import EndogenousRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from tests.integrations.samples import QUESTIONS, needs_profile


@needs_profile
@pytest.mark.asyncio
@pytest.mark.filterwarnings("ignore:.*is not an async function:pytest.PytestWarning")
class TestStandard(RetrieversIntegrationTests):
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
