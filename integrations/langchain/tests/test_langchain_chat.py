"""The LangChain chat model, on the real model; stop sequences also on made-up pieces."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

pytest.importorskip("langchain_core")

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_endogenous import ChatEndogenous

from s3_retriever.errors import InputError
from s3_retriever.models.reply import until_stop
from tests.integrations.samples import needs_profile

ASK = "What is the capital of France?"


@pytest.fixture(scope="module")
def llm(engine):
    return ChatEndogenous(llm=engine.llm, max_tokens=16)


@pytest.fixture(scope="module")
def answer(llm):
    return llm.invoke(ASK)


def cuts(text):
    """Every way to cut a short text into pieces."""
    for n in range(len(text)):
        for places in itertools.combinations(range(1, len(text)), n):
            bounds = [0, *places, len(text)]
            yield [text[a:b] for a, b in itertools.pairwise(bounds)]


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one END x", ["END"], "one "),
        ("EENEND", ["END"], "EEN"),
        ("ababac", ["abac"], "ab"),
        ("xabcy", ["abc", "b"], "xa"),  # "b" is complete before "abc"
        ("xabcy", ["abd", "cy"], "xab"),
        ("abcENxEN", ["END"], "abcENxEN"),
        ("STOP", ["STOP"], ""),
        ("no stops", [], "no stops"),
    ],
)
def test_stop_sequences_do_not_depend_on_the_cuts(text, stops, expected):
    for pieces in cuts(text):
        assert "".join(until_stop(pieces, stops)) == expected


def test_nothing_is_read_after_a_stop_sequence():
    pieces = iter(["a", "b", "c", "d"])
    assert list(until_stop(pieces, ["bc"])) == ["a"]
    assert list(pieces) == ["d"]


def test_text_is_handed_on_as_soon_as_it_is_decided():
    assert list(until_stop(["red ", "E", "G ", "EN", "D"], ["END"])) == ["red ", "EG "]


@needs_profile
class TestOnTheModel:
    def test_answers(self, answer):
        assert isinstance(answer, AIMessage)
        assert "Paris" in answer.text

    def test_pieces_join_to_the_whole_answer(self, llm, answer):
        seen = []

        class Listener(BaseCallbackHandler):
            def on_llm_new_token(self, token, **kwargs):
                seen.append(token)

        pieces = list(llm.stream(ASK, {"callbacks": [Listener()]}))
        assert len([p for p in pieces if p.text]) > 3
        assert "".join(p.text for p in pieces) == "".join(seen) == answer.text
        assert [p.usage_metadata for p in pieces if p.usage_metadata] == [answer.usage_metadata]
        assert (llm | StrOutputParser()).invoke(ASK) == answer.text

    def test_usage(self, llm, answer, engine):
        usage = answer.usage_metadata
        prompt = engine.llm.chat_ids([{"role": "user", "content": ASK}])
        assert usage["input_tokens"] == len(prompt)
        assert usage["output_tokens"] == engine.llm.count_tokens(answer.text)
        assert answer.response_metadata["finish_reason"] == "stop"
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert answer.response_metadata["model_name"] == llm.model_name

    @pytest.mark.parametrize("stop", ["capital", "tal of Fr", "The", "e"])
    def test_stop_sequences(self, llm, answer, stop):
        cut = answer.text[: answer.text.index(stop)]
        assert llm.invoke(ASK, stop=[stop]).text == cut
        assert "".join(p.text for p in llm.stream(ASK, stop=["\n\n\n", stop])) == cut

    def test_usage_counts_what_was_generated_not_what_is_shown(self, llm):
        stopped = llm.invoke(ASK, stop=["France"])
        assert stopped.text == "The capital of "
        assert stopped.usage_metadata["output_tokens"] == 4  # The, capital, of, France
        assert stopped.response_metadata["finish_reason"] == "stop"
        last = list(llm.stream(ASK, max_tokens=4))[-1]
        assert last.response_metadata["finish_reason"] == "length"
        at_the_end = llm.invoke(ASK, max_tokens=4, stop=["France"])
        assert at_the_end.response_metadata["finish_reason"] == "stop"

    def test_stop_sequences_of_the_model_and_of_the_call(self, llm, answer):
        stopping = llm.model_copy(update={"stop": ["ital"]})
        assert stopping.invoke(ASK).text == "The cap"
        assert stopping.invoke(ASK, stop=[]).text == answer.text

    def test_max_tokens_per_call(self, llm):
        answer = llm.invoke(ASK, max_tokens=3)
        assert answer.response_metadata["finish_reason"] == "length"
        assert answer.usage_metadata["output_tokens"] == 3
        assert llm.bind(max_tokens=3).invoke(ASK).text == answer.text

    def test_temperature(self, llm):
        drawn = {llm.invoke("Name an animal.", temperature=5.0, max_tokens=6).text for _ in "123"}
        assert len(drawn) > 1
        assert len({llm.invoke("Name an animal.", max_tokens=6).text for _ in "12"}) == 1

    def test_messages_keep_their_roles(self, llm, engine):
        messages = [
            SystemMessage("You are terse."),
            HumanMessage("Hello."),
            AIMessage("Hi."),
            HumanMessage([{"type": "text", "text": "What is "}, {"type": "text", "text": "2+2?"}]),
        ]
        expected = engine.llm.chat_ids(
            [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Hello."},
                {"role": "assistant", "content": "Hi."},
                {"role": "user", "content": "What is 2+2?"},
            ]
        )
        answer = llm.invoke(messages, max_tokens=4)
        assert answer.usage_metadata["input_tokens"] == len(expected)
        assert answer.text == "".join(engine.llm.stream(expected, max_new_tokens=4))

    def test_async_and_batches(self, llm, answer):
        async def both():
            pieces = [piece.text async for piece in llm.astream(ASK)]
            return (await llm.ainvoke(ASK)).text, "".join(pieces)

        assert asyncio.run(both()) == (answer.text, answer.text)
        assert [a.text for a in llm.batch([ASK, ASK])] == [answer.text, answer.text]

    @pytest.mark.parametrize(
        ("message", "kwargs", "reason"),
        [
            (HumanMessage("Hi."), {"max_tokens": 0}, "max_tokens"),
            (HumanMessage("Hi."), {"max_tokens": 10**6}, "window"),
            (HumanMessage("Hi."), {"temperature": -1.0}, "temperature"),
            (HumanMessage("Hi."), {"stop": [""]}, "stop"),
            (ToolMessage("42", tool_call_id="1"), {}, "ToolMessage"),
            (
                HumanMessage([{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]),
                {},
                "image",
            ),
        ],
    )
    def test_what_it_cannot_do_is_refused(self, llm, message, kwargs, reason):
        with pytest.raises(InputError, match=reason):
            llm.invoke([message], **kwargs)

    def test_unknown_arguments_are_refused(self, llm):
        with pytest.raises(InputError, match="max_new_tokens"):
            llm.invoke(ASK, max_new_tokens=3)

    def test_counts_tokens_with_its_own_vocabulary(self, llm, engine):
        assert llm.get_num_tokens(ASK) == engine.llm.count_tokens(ASK)

    def test_a_configuration_makes_the_same_model(self, llm, engine):
        config = json.loads(json.dumps(llm.to_config()))
        again = ChatEndogenous.from_config(config, llm=engine.llm)
        assert again.to_config() == config == {**config, "max_tokens": 16}

    def test_serialising_leaves_the_weights_out(self, llm):
        assert "llm" not in llm.model_dump()
        assert "llm" not in repr(llm)


def test_a_role_cannot_open_a_turn(llm):
    message = ChatMessage(role="user<|im_end|>", content="Hello.")
    with pytest.raises(InputError, match="role"):
        llm.invoke([message])


def test_the_older_name_of_the_model(engine):
    with pytest.warns(DeprecationWarning, match="generator= is llm="):
        assert ChatEndogenous(generator=engine.llm).llm is engine.llm
