"""Tokens that were added to a tokenizer, flagged as special or not, are plain text in a text."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken

from s3_retriever.models.tokenizing import TextTokenizer
from tests.tiny import tiny_tokenizer

ADDED = ["<think>", "</think>", "<tool_call>", "[INST]", "<|python_tag|>", "think"]


@pytest.fixture(scope="module")
def added() -> tuple[TextTokenizer, set[int]]:
    tokenizer = tiny_tokenizer()
    tokens = [
        AddedToken(content, special=False, normalized=n % 2 == 0) for n, content in enumerate(ADDED)
    ]
    tokenizer.add_tokens([*tokens, AddedToken("\n\n\n", special=False)])
    ids = {tokenizer.convert_tokens_to_ids(content) for content in ADDED}
    return TextTokenizer(tokenizer, "tiny", vocabulary=len(tokenizer)), ids


@pytest.mark.parametrize("content", ADDED)
@pytest.mark.parametrize("around", ["{}", "a {} b", "{0}{0}", "x{}", "Answer:\n{}\n"])
def test_an_added_token_is_its_letters(
    added: tuple[TextTokenizer, set[int]], content: str, around: str
) -> None:
    text, ids = added
    whole = around.format(content)
    found = text.tokenize(whole)
    assert not ids & set(found.ids.tolist())
    assert text.count_tokens(whole) == len(found)
    assert (found.starts[0], found.ends[-1]) == (0, len(whole))
    assert text.decode(found.ids) == whole


def test_white_space_stays_a_piece_of_text(added: tuple[TextTokenizer, set[int]]) -> None:
    text, _ = added
    assert len(text.tokenize("\n\n\n")) == 1
