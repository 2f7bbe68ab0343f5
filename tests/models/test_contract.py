"""The contract suites, run on every family and on the real model; and that they notice faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from s3_retriever.models.chat_template import chat_ids
from s3_retriever.models.families import SUPPORTED
from s3_retriever.models.streaming import PieceStream
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.testing.models import LanguageModelContract
from tests.tiny import tiny_llm

pytestmark = pytest.mark.usefixtures("one_thread")


class TestTinyModels(LanguageModelContract):
    special_tokens = ("<|end|>",)

    @pytest.fixture(scope="class", params=SUPPORTED)
    def llm(self, request: pytest.FixtureRequest) -> TransformersModel:
        return tiny_llm(request.param)


class TestSmolLM2(LanguageModelContract):
    special_tokens = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    tolerance = 0.05  # bfloat16 where the hardware has it
    nats = 0.25


# What the suites are for


class PrefixForTheFirstLeftOut(TransformersModel):
    def read_keys(self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: Any) -> Any:
        found = super().read_keys(chunks, layers, prefix[:0])
        behind = super().read_keys(chunks, layers, prefix)
        return {n: [*found[n][:1], *behind[n][1:]] for n in found}


class PrefixNotDropped(TransformersModel):
    def read_keys(self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: Any) -> Any:
        whole = [np.concatenate([prefix, chunk]) for chunk in chunks]
        return super().read_keys(whole, layers, prefix[:0])


class PrefixIgnored(TransformersModel):
    def read_keys(self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: Any) -> Any:
        return super().read_keys(chunks, layers, prefix[:0])


class PaddedOnTheLeft(TransformersModel):
    """Without a mask: chunks see the padding before them."""

    def read_keys(self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: Any) -> Any:
        found = super().read_keys(self._padded(chunks), layers, prefix)
        return self._cut(found, chunks)

    def read_queries(self, texts: Sequence[np.ndarray], layers: Sequence[int]) -> Any:
        return self._cut(super().read_queries(self._padded(texts), layers), texts)

    def _padded(self, chunks: Sequence[np.ndarray]) -> list[np.ndarray]:
        width = max(map(len, chunks))
        return [np.pad(chunk, (width - len(chunk), 0)) for chunk in chunks]

    def _cut(self, found: Any, chunks: Sequence[np.ndarray]) -> Any:
        return {
            layer: [row[-len(chunk) :] for row, chunk in zip(rows, chunks, strict=True)]
            for layer, rows in found.items()
        }


class JudgedInARow(TransformersModel):
    """Each passage is read behind the ones before it."""

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> Any:
        behind = [np.concatenate(passages[: n + 1]) for n in range(len(passages))]
        return super().question_log_likelihoods(behind, question)


class SpecialTokensTaken(TransformersModel):
    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._text._plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())


class BytesForCharacters(TransformersModel):
    def tokenize(self, text: str) -> Any:
        tokens = super().tokenize(text)
        place = np.array([len(text[:at].encode()) for at in range(len(text) + 1)], dtype=np.uint32)
        return type(tokens)(tokens.ids, place[tokens.starts], place[tokens.ends])


class RolesUnchecked(TransformersModel):
    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        named = [{**message, "role": "user"} for message in messages]
        return chat_ids(self.tokenizer, lambda text: self.tokenize(text).ids, self.name, named)


class TokenByToken(TransformersModel):
    """Each token is decoded by itself, which cuts characters; the last one is not counted."""

    def stream(self, input_ids: Sequence[int], **options: Any) -> PieceStream:
        def written() -> Iterator[tuple[str, int]]:
            read = self.prefill(input_ids)
            for n, token in enumerate(self.continue_from(read, **options)):
                yield self.decode([token]), n

        return PieceStream(written())


@pytest.mark.parametrize(
    ("faulty", "test"),
    [
        (PrefixForTheFirstLeftOut, "keys_of_chunks_are_those_read_alone"),
        (PrefixNotDropped, "the_prefix_is_read_and_dropped"),
        (PrefixIgnored, "the_prefix_is_read_and_dropped"),
        (PaddedOnTheLeft, "keys_of_chunks_are_those_read_alone"),
        (PaddedOnTheLeft, "queries_of_a_batch_are_those_read_alone"),
        (JudgedInARow, "passages_together_are_judged_as_alone"),
        (SpecialTokensTaken, "a_special_token_in_a_text_is_text"),
        (BytesForCharacters, "offsets_are_characters_of_the_text"),
        (TokenByToken, "a_stream_counts_its_tokens_and_cuts_no_character"),
        (TokenByToken, "prompt_and_answer_have_to_fit_the_window"),
    ],
)
def test_the_suite_notices(faulty: type[TransformersModel], test: str) -> None:
    sound = tiny_llm()
    suite: Any = TestTinyModels()
    run: Callable[[Any], None] = getattr(suite, f"test_{test}")
    run(sound)
    broken = faulty(sound.model, sound.tokenizer, sound.name)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(broken)


def test_the_suite_notices_unchecked_roles() -> None:
    sound = tiny_llm()
    broken = RolesUnchecked(sound.model, sound.tokenizer, sound.name)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        TestTinyModels().test_a_role_that_is_no_name_is_refused(broken, "user\n")
