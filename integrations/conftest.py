"""What the integrations' tests share with each other and with the core's."""

from __future__ import annotations

from tests.conftest import llm, one_thread, pytest_collection_modifyitems
from tests.integrations.conftest import engine, namespace, server

__all__ = [
    "engine",
    "llm",
    "namespace",
    "one_thread",
    "pytest_collection_modifyitems",
    "server",
]
