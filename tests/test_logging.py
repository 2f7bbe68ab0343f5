"""Logs name documents, and never quote them or the questions asked about them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.errors import InputError
from s3_retriever.profiles.profile import Profile
from tests.tiny import tiny_llm, write_profile

SECRET = "xylophone"


def test_no_text_and_no_question_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="s3_retriever")
    llm = tiny_llm()
    profile = Profile.load(write_profile(tmp_path / "profile", llm))
    engine = Engine(llm, profile, tmp_path / "index")
    text = f"The {SECRET} was finished in 1887. It was painted red."
    engine.add(
        [
            Document("good", text, {"note": SECRET}),
            Document("damaged", f"{SECRET} \ud800"),
            Document("odd", SECRET, {"note": {SECRET: object()}}),
        ]
    )
    question = f"When was the {SECRET} finished?"
    engine.retrieve(question)
    engine.compress(question, text, 16)
    engine.answer(question, max_tokens=32, max_new_tokens=4).result()
    with pytest.raises(InputError):
        engine.retrieve(f"{SECRET} " * 500)
    engine.delete(["good"])
    engine.compact()
    assert "damaged" in caplog.text
    assert SECRET not in caplog.text
