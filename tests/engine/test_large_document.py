"""Five megabytes on one line: exact spans, a bounded answer, on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.presets import mode_names
from s3_retriever.settings import ScanSettings
from tests.tiny import tiny_llm, write_profile

FILLER = "The harbour was quiet and the boats lay still in the grey light of the morning. "
NEEDLE = "Zebulon Quist painted the observatory door vermilion. "


@pytest.mark.usefixtures("one_thread")
def test_five_megabytes_on_one_line(tmp_path: Path) -> None:
    llm = tiny_llm(num_hidden_layers=1)
    folder = write_profile(tmp_path / "profile", llm, sites=((0, (0,)),), heads=((0, 1),), k=2)
    profile = Profile.load(folder)
    engine = Engine(
        llm,
        profile,
        tmp_path / "index",
        scan=ScanSettings(chunk_tokens=128, batch_tokens=16384, segment_tokens=1_000_000),
    )
    half = FILLER * (2_500_000 // len(FILLER))
    text = half + NEEDLE + half
    assert "\n" not in text
    engine.add([Document("long", text)])
    for mode in mode_names():
        spans = engine.retrieve("Who painted the observatory door?", max_tokens=200, mode=mode)
        assert spans
        assert sum(llm.count_tokens(s.text) for s in spans) <= 200
        assert all(text[s.start : s.end] == s.text for s in spans)
        if mode == "bm25":  # a random model knows nothing; words do
            assert spans[0].text == NEEDLE.strip()
    document = engine.get("long")
    assert document is not None
    assert document.text == text
