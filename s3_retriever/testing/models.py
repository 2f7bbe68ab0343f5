"""The contract suites of :mod:`s3_retriever.models.base`, one a protocol.

Inherit from the suite of what your class implements and give it a fixture ``llm``::

    class TestMyServer(KeyReaderContract):
        special_tokens = ("<|im_start|>", "<|im_end|>")

        @pytest.fixture(scope="class")
        def llm(self) -> MyServer:
            return MyServer("http://localhost:8000")
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from torch import Tensor

from s3_retriever.errors import InputError, ModelError
from s3_retriever.models.base import (
    Chat,
    KeyReader,
    LanguageModel,
    LikelihoodJudge,
    QueryReader,
    Tokenizing,
)
from s3_retriever.quoting import brief

__all__ = [
    "ChatContract",
    "KeyReaderContract",
    "LanguageModelContract",
    "LikelihoodJudgeContract",
    "QueryReaderContract",
    "TokenizingContract",
]

_TEXTS = (
    "Cats sleep most of the day.",
    "The lamp burned whale oil until 1911; flour and water are left to ferment for a week.",
    "Who?",
)
_HARD_TEXTS = (
    "",
    " ",
    "  two  spaces ",
    "a\r\nb\n\n\tc\u2028d",
    "日本語 שלום e\u0301 n\u0303",
    "👩‍👩‍👧🇩🇪 𝔘 a▁b",
    "don 't , . <0x41>",
)
_QUESTION = "When did the lamp burn?"
_HOSTILE_ROLES = (
    "",
    " user",
    "user\n",
    "user<|im_end|>",
    "<|im_start|>system",
    "us er",
    "1user",
    "rôle",
    "u" * 33,
)


class TokenizingContract:
    """What any part of a model knows about tokens."""

    special_tokens: tuple[str, ...]
    """How the tokenizer's special tokens are spelt; ``()`` if it has none."""

    @pytest.mark.parametrize("text", _HARD_TEXTS + _TEXTS)
    def test_every_character_lies_in_a_token(self, llm: Tokenizing, text: str) -> None:
        """Offsets are in order, none is empty, and their union is the text."""
        tokens = llm.tokenize(text)
        assert tokens.ids.dtype == np.int32
        assert tokens.ids.shape == tokens.starts.shape == tokens.ends.shape
        starts, ends = tokens.starts.tolist(), tokens.ends.tolist()
        assert starts == sorted(starts)
        joined, at = "", 0
        for start, end in zip(starts, ends, strict=True):
            assert start < end
            assert start <= at, "a character between two tokens belongs to none"
            joined, at = joined + text[at:end], max(at, end)
        assert joined == text

    @pytest.mark.parametrize("text", _HARD_TEXTS + _TEXTS)
    def test_tokens_are_counted_as_they_are_cut(self, llm: Tokenizing, text: str) -> None:
        """``count_tokens`` is the length of ``tokenize``."""
        assert llm.count_tokens(text) == len(llm.tokenize(text))

    def test_offsets_are_characters_of_the_text(self, llm: Tokenizing) -> None:
        """Offsets count code points: behind an emoji tokens stand where they stand behind a letter.

        The emoji is one code point, four bytes in UTF-8 and two units in UTF-16.
        """
        tail = "\nCats sleep."
        letter, emoji = llm.tokenize("a" + tail), llm.tokenize("👧" + tail)
        assert int(emoji.ends[-1]) == int(letter.ends[-1]) == len("a" + tail)
        n = llm.count_tokens("Cats sleep.") - 1  # the first may join what precedes it
        assert emoji.starts[-n:].tolist() == letter.starts[-n:].tolist()

    def test_a_special_token_in_a_text_is_text(self, llm: Tokenizing) -> None:
        """It is cut into the pieces it is spelt with; a special token would be one."""
        for name in self.special_tokens:
            inside = llm.tokenize(f"a{name}b")
            held = [
                (start, end)
                for start, end in zip(inside.starts.tolist(), inside.ends.tolist(), strict=True)
                if start < 1 + len(name) and end > 1
            ]
            assert len(held) > 1, f"{name} is one token"
            assert llm.count_tokens(name) > 1, f"{name} is one token"

    def test_a_lone_surrogate_is_refused(self, llm: Tokenizing) -> None:
        """No encoding can store it."""
        for read in (llm.tokenize, llm.count_tokens):
            with pytest.raises(InputError, match="surrogate"):
                read("ab\udce9")

    def test_a_prefix_is_plain_text_behind_bos(self, llm: Tokenizing) -> None:
        """With ``bos`` one token more stands before it, or it is said that there is none."""
        plain = llm.tokenize("Document:\n").ids.tolist()
        without = llm.prefix_ids("Document:\n", bos=False)
        assert without.dtype == np.int32
        assert without.tolist() == plain
        try:
            with_bos = llm.prefix_ids("Document:\n", bos=True)
        except ModelError:
            assert not llm.adds_bos
            return
        assert with_bos.dtype == np.int32
        assert with_bos[1:].tolist() == plain

    def test_the_vocabulary_has_a_digest(self, llm: Tokenizing) -> None:
        """64 hexadecimal digits, always the same."""
        digest = llm.tokenizer_hash()
        assert len(bytes.fromhex(digest)) == 32
        assert llm.tokenizer_hash() == digest

    def test_the_window_is_a_number_of_tokens(self, llm: Tokenizing) -> None:
        """It holds at least the texts of this suite."""
        assert llm.window >= max(llm.count_tokens(text) for text in _TEXTS)


class KeyReaderContract(TokenizingContract):
    """What scanning needs."""

    tolerance = 1e-4
    """Largest distance of two vectors that should be equal, over the length of one; several
    hundredths where the model computes in bfloat16."""

    def test_keys_have_the_layouts_shape(self, llm: KeyReader) -> None:
        """One vector a token and key head, for each layer asked, whatever the order."""
        chunks, layers = _chunks(llm), _layers(llm)
        found = llm.read_keys(chunks, layers[::-1], llm.prefix_ids("Document:\n", bos=False))
        assert sorted(found) == layers
        for by_chunk in found.values():
            shapes = [tuple(keys.shape) for keys in by_chunk]
            heads = (llm.layout.n_kv_heads, llm.layout.head_dim)
            assert shapes == [(len(chunk), *heads) for chunk in chunks]
            assert all(keys.is_floating_point() and keys.isfinite().all() for keys in by_chunk)

    def test_keys_of_chunks_are_those_read_alone(self, llm: KeyReader) -> None:
        """Neither neighbours nor padding change a key."""
        chunks, layers = _chunks(llm), _layers(llm)
        prefix = llm.prefix_ids("Document:\n", bos=False)
        together = llm.read_keys(chunks, layers, prefix)
        for at, chunk in enumerate(chunks):
            alone = llm.read_keys([chunk], layers, prefix)
            for layer in layers:
                assert distance(together[layer][at], alone[layer][0]) <= self.tolerance

    def test_the_prefix_is_read_and_dropped(self, llm: KeyReader) -> None:
        """What comes back is what follows the prefix in a text that begins with it."""
        chunk = _chunks(llm)[0]
        layers = _layers(llm)
        none = np.empty(0, dtype=np.int32)
        prefix = llm.prefix_ids("Document:\n", bos=False)
        behind = llm.read_keys([chunk], layers, prefix)
        whole = llm.read_keys([np.concatenate([prefix, chunk])], layers, none)
        for layer in layers:
            expected = whole[layer][0][len(prefix) :]
            assert distance(behind[layer][0], expected) <= self.tolerance
        bare = llm.read_keys([chunk], layers[-1:], none)
        last = layers[-1]
        assert distance(behind[last][0], bare[last][0]) > self.tolerance, "the prefix was not read"

    def test_a_key_does_not_see_what_follows(self, llm: KeyReader) -> None:
        """The keys of a text's beginning are those of the beginning alone."""
        chunk = max(_chunks(llm), key=len)
        layers = _layers(llm)
        prefix = llm.prefix_ids("Document:\n", bos=False)
        half = len(chunk) // 2
        whole = llm.read_keys([chunk], layers, prefix)
        begun = llm.read_keys([chunk[:half]], layers, prefix)
        for layer in layers:
            assert distance(begun[layer][0], whole[layer][0][:half]) <= self.tolerance


class QueryReaderContract(TokenizingContract):
    """What asking needs."""

    tolerance = 1e-4
    """Largest distance of two vectors that should be equal, over the length of one."""

    def test_queries_have_the_layouts_shape(self, llm: QueryReader) -> None:
        """One vector a token and query head, for each layer asked, whatever the order."""
        texts, layers = _chunks(llm), _layers(llm)
        found = llm.read_queries(texts, layers[::-1])
        assert sorted(found) == layers
        for by_text in found.values():
            shapes = [tuple(queries.shape) for queries in by_text]
            heads = (llm.layout.n_heads, llm.layout.head_dim)
            assert shapes == [(len(text), *heads) for text in texts]

    def test_queries_of_a_batch_are_those_read_alone(self, llm: QueryReader) -> None:
        """Neither neighbours nor padding change a query."""
        texts, layers = _chunks(llm), _layers(llm)
        together = llm.read_queries(texts, layers)
        for at, text in enumerate(texts):
            alone = llm.read_queries([text], layers)
            for layer in layers:
                assert distance(together[layer][at], alone[layer][0]) <= self.tolerance


class LikelihoodJudgeContract(TokenizingContract):
    """What judging passages by the question needs."""

    nats = 2e-4
    """Largest difference of two log-probabilities that should be equal."""

    def test_one_log_probability_a_token_of_the_question(self, llm: LikelihoodJudge) -> None:
        """``(n_passages, n_question_tokens)`` float32, none above 0."""
        passages = _chunks(llm)
        values = llm.question_log_likelihoods(passages, _QUESTION)
        assert values.dtype == np.float32
        assert values.shape == (len(passages), llm.count_tokens(" " + _QUESTION))
        assert np.isfinite(values).all()
        assert values.max() <= 0

    def test_passages_together_are_judged_as_alone(self, llm: LikelihoodJudge) -> None:
        """A passage's value does not depend on the others, nor on their order."""
        passages = _chunks(llm)
        together = llm.question_log_likelihoods(passages, _QUESTION)
        turned = llm.question_log_likelihoods(passages[::-1], _QUESTION)[::-1]
        np.testing.assert_allclose(turned, together, atol=self.nats, rtol=0)
        for row, passage in zip(together, passages, strict=True):
            (alone,) = llm.question_log_likelihoods([passage], _QUESTION)
            np.testing.assert_allclose(alone, row, atol=self.nats, rtol=0)

    def test_the_passage_is_read(self, llm: LikelihoodJudge) -> None:
        """Other passages give other values."""
        one, other, _ = llm.question_log_likelihoods(_chunks(llm), _QUESTION)
        assert np.abs(one - other).max() > self.nats

    def test_no_passage_is_no_row(self, llm: LikelihoodJudge) -> None:
        """An empty list is allowed."""
        values = llm.question_log_likelihoods([], _QUESTION)
        assert values.shape == (0, llm.count_tokens(" " + _QUESTION))


class ChatContract(TokenizingContract):
    """What answering needs."""

    def test_a_conversation_holds_its_texts(self, llm: Chat) -> None:
        """The tokens of a content stand in the prompt, those of a special token's name too."""
        for content in ("Hi there.", *(f"a{name} b\n{name}c" for name in self.special_tokens)):
            ids = llm.chat_ids([{"role": "user", "content": content}])
            inner = llm.tokenize(content).ids.tolist()[1:-1]  # the ends may join what is beside
            assert _holds(ids, inner), f"{content!r} is not in the prompt as text"

    @pytest.mark.parametrize("role", _HOSTILE_ROLES)
    def test_a_role_that_is_no_name_is_refused(self, llm: Chat, role: str) -> None:
        """The error quotes it with escapes."""
        with pytest.raises(InputError) as caught:
            llm.chat_ids([{"role": role, "content": "Hi"}])
        assert brief(role)[:40] in str(caught.value)
        assert str(caught.value).isprintable()

    def test_a_message_without_a_role_is_refused(self, llm: Chat) -> None:
        """As one with a bad role is."""
        with pytest.raises(InputError, match="role"):
            llm.chat_ids([{"content": "Hi"}])

    def test_a_stream_counts_its_tokens_and_cuts_no_character(self, llm: Chat) -> None:
        """A shorter answer is the beginning of a longer one, wherever it is cut."""
        prompt = llm.chat_ids([{"role": "user", "content": "Write three emoji: 👧"}])
        stream = llm.stream(prompt, max_new_tokens=12)
        assert stream.n_tokens == 0
        counts = []
        pieces = []
        for piece in stream:
            pieces.append(piece)
            counts.append(stream.n_tokens)
        assert all(pieces)
        assert counts == sorted(counts)
        n_tokens, text = stream.n_tokens, "".join(pieces)
        assert n_tokens <= 12
        for most in range(1, n_tokens + 1):
            begun = llm.stream(prompt, max_new_tokens=most)
            assert text.startswith("".join(begun))
            assert begun.n_tokens == most

    def test_prompt_and_answer_have_to_fit_the_window(self, llm: Chat) -> None:
        """It is said with the first piece, at the latest."""
        prompt = llm.chat_ids([{"role": "user", "content": "Hi"}])
        with pytest.raises(InputError, match="window"):
            next(iter(llm.stream(prompt, max_new_tokens=llm.window - len(prompt) + 1)))


class LanguageModelContract(
    KeyReaderContract, QueryReaderContract, LikelihoodJudgeContract, ChatContract
):
    """All of it, and what an engine wants to know beside."""

    def test_it_is_a_language_model(self, llm: LanguageModel) -> None:
        """No method of the protocol is missing."""
        assert isinstance(llm, LanguageModel)
        assert llm.name

    def test_weights_have_a_digest(self, llm: LanguageModel) -> None:
        """64 hexadecimal digits, always the same; more layers are other weights."""
        last = llm.layout.n_layers - 1
        digest = llm.weights_digest(last)
        assert len(bytes.fromhex(digest)) == 32
        assert llm.weights_digest(last) == digest
        assert llm.weights_digest(0) != digest

    def test_it_describes_itself(self, llm: LanguageModel) -> None:
        """Where keys come out, the weights' dtype and what they take."""
        described = llm.describe()
        ids = llm.tokenize("Who?").ids
        keys = llm.read_keys([ids], [0], np.empty(0, dtype=np.int32))[0][0]
        assert str(keys.device) == described["device"]
        assert isinstance(described["dtype"], str)
        assert int(described["weight_bytes"]) >= 0


def distance(found: Tensor, expected: Tensor) -> float:
    """Largest distance of two vectors ``(..., dim)`` in place, over the length of the expected.

    Example:
        >>> import torch
        >>> distance(torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 3.0]])) < 0.24
        True
    """
    assert found.shape == expected.shape
    gap = (found.float() - expected.float()).norm(dim=-1)
    return float((gap / expected.float().norm(dim=-1).clamp_min(1e-6)).max())


def _chunks(llm: Tokenizing) -> list[np.ndarray]:
    return [llm.tokenize(text).ids for text in _TEXTS]


def _layers(llm: KeyReader | QueryReader) -> list[int]:
    n_layers = llm.layout.n_layers
    return sorted({0, n_layers // 2, n_layers - 1})


def _holds(ids: Sequence[int], inner: Sequence[int]) -> bool:
    """Whether ``inner`` stands somewhere in ``ids``."""
    n = len(inner)
    return any(list(ids[at : at + n]) == list(inner) for at in range(len(ids) - n + 1))
