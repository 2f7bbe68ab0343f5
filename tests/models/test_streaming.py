"""Pieces of a stream are those of decoding everything each time, at a cost that grows evenly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from s3_retriever.models.streaming import text_pieces
from s3_retriever.models.tokenizing import TextTokenizer
from s3_retriever.models.transformers import TransformersModel
from tests.models.gguf_files import CONTROL, SENTENCEPIECE
from tests.tiny import VOCABULARY, tiny_llm

HALF = "\N{REPLACEMENT CHARACTER}"
Decode = Callable[[Sequence[int]], str]
TINY = tiny_llm()


def sentencepiece(*, strips: bool) -> Decode:
    """Decoding with spaces written as ▁ and bytes as <0x41>, as Gemma does.

    ``strips``: without a space at the very beginning, as Llama 2 and Mistral do.
    """
    pieces = {piece: number for number, (piece, _) in enumerate(SENTENCEPIECE)}
    tokenizer = Tokenizer(BPE(pieces, [], byte_fallback=True, unk_token="<unk>"))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if strips:
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(
        [AddedToken(piece, special=True) for piece, kind in SENTENCEPIECE if kind == CONTROL]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    return TextTokenizer(fast, "sentencepiece", vocabulary=len(SENTENCEPIECE)).decode


GEMMA, LLAMA = sentencepiece(strips=False), sentencepiece(strips=True)
NUMBERS = {piece: number for number, (piece, _) in enumerate(SENTENCEPIECE)}
WORDS = st.sampled_from(
    [[n] for n, (piece, _) in enumerate(SENTENCEPIECE) if not piece.startswith("<0x")]
)
SPELT = st.characters(exclude_categories=("Cs",)).map(
    lambda character: [NUMBERS[f"<0x{byte:02X}>"] for byte in character.encode()]
)
SPACED = st.lists(st.sampled_from([[NUMBERS["▁"]], [NUMBERS["▁w"]], [NUMBERS["  "]]]), max_size=3)


def all_at_once(ids: Sequence[int], decode: Decode) -> Iterator[tuple[str, int]]:
    """Pieces by decoding all tokens after each of them."""
    shown = text = ""
    for n in range(1, len(ids) + 1):
        text = decode(ids[:n])
        piece = ""
        if len(text) > len(shown) and not text.endswith(HALF):
            piece, shown = text[len(shown) :], text
        yield piece, n
    if rest := text.rstrip(HALF)[len(shown) :]:
        yield rest, len(ids)


@given(ids=st.lists(st.integers(0, VOCABULARY - 1), max_size=50))
def test_any_tokens_of_a_byte_level_tokenizer(ids: list[int]) -> None:
    assert list(text_pieces(ids, TINY.decode)) == list(all_at_once(ids, TINY.decode))


@given(
    starts=st.lists(st.tuples(st.integers(0, 49151), st.integers(1, 9)), max_size=8),
    text=st.text(max_size=12),
)
def test_tokens_of_the_real_model(
    llm: TransformersModel, starts: list[tuple[int, int]], text: str
) -> None:
    wild = [(first + step * 97) % 49152 for first, n in starts for step in range(n)]
    ids = [*wild, *llm.tokenize(text).ids.tolist(), *wild[:5]]
    assert list(text_pieces(ids, llm.decode)) == list(all_at_once(ids, llm.decode))


@pytest.mark.parametrize("decode", [GEMMA, LLAMA], ids=["keeps", "strips"])
@given(
    begin=SPACED,
    parts=st.lists(st.one_of(WORDS, SPELT), max_size=16),
    cut=st.integers(0, 3),
)
def test_bytes_and_spaces_of_sentencepiece(
    decode: Decode, begin: list[list[int]], parts: list[list[int]], cut: int
) -> None:
    ids = [number for part in [*begin, *parts] for number in part]
    ids = ids[: len(ids) - cut]  # may end inside a character
    assert list(text_pieces(ids, decode)) == list(all_at_once(ids, decode))


@pytest.mark.parametrize("decode", [GEMMA, LLAMA], ids=["keeps", "strips"])
@given(ids=st.lists(st.integers(0, len(SENTENCEPIECE) - 1), max_size=50))
def test_bytes_that_are_no_text_hide_no_text(decode: Decode, ids: list[int]) -> None:
    def text_of(pieces: Iterator[tuple[str, int]]) -> str:
        return "".join(piece for piece, _ in pieces).replace(HALF, "")

    assert text_of(text_pieces(ids, decode)) == text_of(all_at_once(ids, decode))


def test_a_space_between_words_is_kept_and_the_first_one_is_not() -> None:
    words = [NUMBERS[piece] for piece in ("▁world", "▁wor", "ld", "▁", "▁world")]
    assert [p for p, _ in text_pieces(words, LLAMA)] == ["world", " wor", "ld", " ", " world"]
    assert [p for p, _ in text_pieces(words, GEMMA)] == [" world", " wor", "ld", " ", " world"]


def decoded(ids: Sequence[int], decode: Decode) -> int:
    """How many ids are handed to ``decode`` while ``ids`` are streamed."""
    handed = 0

    def counting(part: Sequence[int]) -> str:
        nonlocal handed
        handed += len(part)
        return decode(part)

    list(text_pieces(ids, counting))
    return handed


def test_the_cost_grows_with_the_number_of_tokens() -> None:
    text = "The lamp burned. 日本語 👩‍👩‍👧 x" * 40
    ids = TINY.tokenize(text).ids.tolist()
    assert len(ids) > 1200
    first, whole = decoded(ids[: len(ids) // 2], TINY.decode), decoded(ids, TINY.decode)
    assert whole < 2.1 * first
    assert whole < 10 * len(ids)


@pytest.mark.parametrize("piece", ["<0xFF>", "<0xE2>", "<bos>"])
def test_what_never_becomes_a_character_is_not_kept_for_ever(piece: str) -> None:
    ids = [NUMBERS["Hello"], *[NUMBERS[piece]] * 2000, NUMBERS["▁world"]]
    assert decoded(ids, LLAMA) < 150 * len(ids)
    pieces = [piece for piece, _ in text_pieces(ids, LLAMA)]
    assert "".join(pieces).replace(HALF, "") == "Hello world"
