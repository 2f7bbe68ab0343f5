"""How a token is chosen, and when an answer that goes round in circles ends."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import InputError
from s3_retriever.models.decoding import choose_token
from s3_retriever.models.repetition import UntilRepeating
from s3_retriever.models.reply import Reply
from s3_retriever.models.streaming import PieceStream, text_pieces
from tests.tiny import tiny_llm

LOGITS = torch.tensor([0.5, 0.05, 0.3, 0.15]).log()


@pytest.mark.parametrize(
    ("top_p", "allowed"),
    [(0.0, {0}), (0.4, {0}), (0.5, {0}), (0.6, {0, 2}), (0.9, {0, 2, 3}), (1.0, {0, 1, 2, 3})],
)
def test_only_the_likeliest_are_drawn(top_p: float, allowed: set[int]) -> None:
    torch.manual_seed(0)
    assert {choose_token(LOGITS, 1.0, top_p) for _ in range(400)} == allowed


def test_the_likeliest_are_drawn_as_often_as_they_are_likely() -> None:
    torch.manual_seed(0)
    drawn = [choose_token(LOGITS, 1.0, 0.8) for _ in range(4000)]
    assert drawn.count(0) / len(drawn) == pytest.approx(0.5 / 0.8, abs=0.03)


def test_without_a_temperature_nothing_is_drawn() -> None:
    assert {choose_token(LOGITS, 0.0, top_p) for top_p in (0.0, 0.3, 1.0)} == {0}


def test_top_p_goes_from_a_reply_to_the_model() -> None:
    llm = tiny_llm()
    asked = [{"role": "user", "content": "Hello."}]
    greedy = "".join(Reply.to(llm, asked, max_tokens=12))
    sampled = "".join(Reply.to(llm, asked, max_tokens=12, temperature=1.0, top_p=1e-9))
    assert sampled == greedy
    for wrong in (-0.1, 1.1, "1", None):
        with pytest.raises(InputError, match="top_p must be"):
            Reply.to(llm, asked, max_tokens=1, top_p=wrong)  # type: ignore[arg-type]


@given(
    st.lists(st.integers(0, 3), max_size=30),
    st.lists(st.integers(0, 300), min_size=1, max_size=64),
)
def test_what_is_repeated_ends_soon(before: list[int], block: list[int]) -> None:
    tokens = UntilRepeating(before + 400 * block)
    taken = list(tokens)
    assert tokens.repeated
    assert taken == (before + 400 * block)[: len(taken)]
    assert len(taken) <= len(before) + max(128, 4 * len(block))


@given(st.lists(st.integers(0, 300), max_size=200), st.integers(1, 40))
def test_a_few_times_are_no_circle(block: list[int], width: int) -> None:
    text = [*range(1000, 1060), *(3 * block), *range(1000, 1060)]
    rows = [*range(1000, 1060), *([7] * 100), *range(width)]
    assert list(UntilRepeating(rows)) == rows
    if len(set(block)) == len(block):
        assert list(UntilRepeating(text)) == text


def test_an_answer_that_repeats_itself_is_cut_short() -> None:
    tokens = UntilRepeating(iter([72, 105] + 500 * [33]))
    pieces = text_pieces(tokens, lambda ids: bytes(ids).decode())
    reply = Reply(PieceStream(pieces, lambda: tokens.repeated), [], n_prompt=1, max_tokens=999)
    assert "".join(reply) == "Hi" + 128 * "!"
    assert (reply.finish_reason, reply.n_written) == ("length", 130)
