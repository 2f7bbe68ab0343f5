"""What the integrations' tests share with each other and with the core's."""

from __future__ import annotations

from tests.conftest import llm, one_thread, pytest_collection_modifyitems
from tests.integrations.conftest import engine

__all__ = ["engine", "llm", "one_thread", "pytest_collection_modifyitems"]
