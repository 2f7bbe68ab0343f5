"""What components of any framework do alike; nothing here knows a framework.

They work with an engine in this process or with a client of a server's, and importing this package
imports no torch.
"""

from __future__ import annotations

from s3_retriever.integration.budget import within_budget
from s3_retriever.integration.chatting import (
    Writing,
    chat_config,
    not_written,
    prompt_window,
    reply_to,
)
from s3_retriever.integration.documents import AddedIds, add_with_bar, deleted, select_spans
from s3_retriever.integration.opening import (
    AnyEngine,
    chat_from_config,
    connected,
    engine_from_config,
    made,
    open_engine,
    opened,
    renamed_argument,
    restored,
    source_of,
)
from s3_retriever.integration.source import Call, Likeness, Source, Work

__all__ = [
    "AddedIds",
    "AnyEngine",
    "Call",
    "Likeness",
    "Source",
    "Work",
    "Writing",
    "add_with_bar",
    "chat_config",
    "chat_from_config",
    "connected",
    "deleted",
    "engine_from_config",
    "made",
    "not_written",
    "open_engine",
    "opened",
    "prompt_window",
    "renamed_argument",
    "reply_to",
    "restored",
    "select_spans",
    "source_of",
    "within_budget",
]
