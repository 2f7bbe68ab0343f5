"""The programs of docs/swap.md with our side; the embedding side takes minutes, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.samples import needs_profile

pytestmark = [needs_profile, pytest.mark.slow]
SWAP = (Path(__file__).parents[2] / "docs" / "swap.md").read_text(encoding="utf-8")


def test_langchain():
    pytest.importorskip("langchain_core")
    from examples import swap_langchain

    said = swap_langchain.main("endogenous")
    assert "Yersin" in said["semantic search"][0]
    assert all(text.strip() for texts in said.values() for text in texts)


def test_llama_index():
    pytest.importorskip("llama_index.core")
    from examples import swap_llama_index

    said = swap_llama_index.main("endogenous")
    assert "Dioscorides" in said["citations"][1]
    assert all(text.strip() for texts in said.values() for text in texts)


@pytest.mark.parametrize("name", ["swap_langchain", "swap_llama_index"])
def test_the_page_shows_the_lines_that_run(name):
    source = (Path(__file__).parents[2] / "examples" / f"{name}.py").read_text(encoding="utf-8")
    for line in SWAP.splitlines():
        if line.startswith(("-store =", "+store =")) and name == "swap_langchain":
            assert f"return {line.split(' = ', 1)[1]}" in source
        if line.startswith(("-index =", "+index =")) and name == "swap_llama_index":
            assert f"return {line.split(' = ', 1)[1]}" in source
