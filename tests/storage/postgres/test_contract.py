"""An index in PostgreSQL passes the suites for code stores and searches, on one server and two."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from s3_retriever.storage.postgres.view import PostgresView
from s3_retriever.testing.search import CandidateSearchContract, MakeSearch
from s3_retriever.testing.storage import CodeStoreContract, MakeStore
from s3_retriever.types import EncodedDocument
from tests.storage.postgres.conftest import MakeDocuments


def filled(
    make: MakeDocuments, documents: Sequence[EncodedDocument], deleted: Collection[str]
) -> PostgresView:
    """Committed by one object, one commit a document, and read by another one."""
    there = make()
    for one in documents:
        there.commit([one])
    if deleted:
        there.delete(deleted)
    return type(there)(there.url, there.card).view


class TestOnOneServer(CodeStoreContract):
    @pytest.fixture(scope="class")
    def make_store(self, on_one_server: MakeDocuments) -> MakeStore:
        return lambda documents, deleted: filled(on_one_server, documents, deleted)


class TestOnTwoServers(CodeStoreContract):
    @pytest.fixture(scope="class")
    def make_store(self, on_two_servers: MakeDocuments) -> MakeStore:
        return lambda documents, deleted: filled(on_two_servers, documents, deleted)


class TestSearchOnOneServer(CandidateSearchContract):
    @pytest.fixture(scope="class")
    def make_search(self, on_one_server: MakeDocuments) -> MakeSearch:
        return lambda documents, deleted: filled(on_one_server, documents, deleted).search


class TestSearchOnTwoServers(CandidateSearchContract):
    @pytest.fixture(scope="class")
    def make_search(self, on_two_servers: MakeDocuments) -> MakeSearch:
        return lambda documents, deleted: filled(on_two_servers, documents, deleted).search
