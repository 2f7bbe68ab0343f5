"""A small random engine for tests of what does not depend on what a model understands."""

from __future__ import annotations

from pathlib import Path

from s3_retriever import Engine
from s3_retriever.profiles.profile import Profile
from tests.tiny import tiny_llm, write_profile

BLANKS = ["", "  \n", "\u200b\ufeff", "\u3164", "\u2028\xa0"]
"""Texts of which a reader sees nothing."""


def small_engine(folder: Path, path: Path | None = None) -> Engine:
    """An empty engine; its profile is written to ``folder``, its index lies in ``path``."""
    llm = tiny_llm()
    return Engine(llm, Profile.load(write_profile(folder, llm)), path)
