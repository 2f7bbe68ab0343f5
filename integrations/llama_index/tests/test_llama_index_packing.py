"""Prompts that LlamaIndex packs fit the model's window in any script."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core")

import llama_index.core
from llama_index.core import PromptTemplate
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.utils import get_tokenizer
from llama_index.retrievers.endogenous import EndogenousIndex, EndogenousLLM
from llama_index.retrievers.endogenous.counting import OwnTokens

from s3_retriever.errors import InputError
from tests.integrations.samples import needs_profile
from tests.tiny import tiny_llm

pytestmark = needs_profile

WINDOW = 700
NO_ANSWER = {ResponseMode.NO_TEXT, ResponseMode.CONTEXT_ONLY, ResponseMode.GENERATION}
TEXTS = {
    "English": "The lighthouse was built by Maren Holt in 1874. ",
    "Thai": "ประภาคารแห่งนี้สร้างขึ้นโดยวิศวกรในปีหนึ่งพันแปดร้อยเจ็ดสิบสี่",
    "Chinese": "这座灯塔由工程师于一八七四年建成，至今仍在使用。",
    "Russian": "Маяк был построен инженером в тысяча восемьсот семьдесят четвёртом году. ",
    "Hindi": "यह प्रकाशस्तंभ एक इंजीनियर ने अठारह सौ चौहत्तर में बनाया था। ",
    "emoji": "👩🏽‍🚀🇩🇪🎉🏴‍☠️",
}


@pytest.fixture
def llm(engine, monkeypatch):
    monkeypatch.setattr(llama_index.core, "global_tokenizer", None)
    get_tokenizer()  # LlamaIndex's default is set already, as when anything else was made before
    config = engine.llm.model.config.get_text_config()
    monkeypatch.setattr(config, "max_position_embeddings", WINDOW)
    return EndogenousLLM(llm=engine.llm, max_tokens=8)


@pytest.fixture
def prompts(engine, llm, monkeypatch):
    """Tokens of each prompt that the model was given."""
    seen = []
    stream = type(engine.llm).stream

    def watching(self, input_ids, **options):
        seen.append(len(input_ids))
        return stream(self, input_ids, **options)

    monkeypatch.setattr(type(engine.llm), "stream", watching)
    return seen


def nodes(text, n_characters=1600):
    """A text that takes the window more than once in most scripts."""
    long = text * (n_characters // len(text))
    cut = len(long) // 2
    return [NodeWithScore(node=TextNode(text=part), score=1.0) for part in (long[:cut], long[cut:])]


@pytest.mark.parametrize("script", TEXTS)
def test_fits_the_window(llm, prompts, script):
    made = get_response_synthesizer(llm=llm, response_mode=ResponseMode.SIMPLE_SUMMARIZE)
    question = f"{TEXTS[script][:60]}?"
    answer = made.synthesize(question, nodes(TEXTS[script]))
    assert str(answer) != "Empty Response"
    assert max(prompts) <= WINDOW - llm.max_tokens


ESCAPED = {
    "code": 'def f(x):\n    return {"a": \'b\', "c\\d": x}\n',
    "joined emoji": "👨‍👩‍👧‍👦",
    "short lines": "\n\n\n.",
    "joiners": "न्\u200dही ",
}


@pytest.fixture
def small(monkeypatch):
    """A random model whose tokens are bytes or little more, and the texts that it was given."""
    monkeypatch.setattr(llama_index.core, "global_tokenizer", None)
    model = tiny_llm(max_position_embeddings=1500)
    seen = []
    chat_ids, stream = model.chat_ids, model.stream

    def watching(input_ids, **options):
        if len(input_ids) + 8 <= model.window:  # else it is refused
            seen.append(latest[0])
        return stream(input_ids, **options)

    def noted(conversation):
        latest[0] = "".join(message["content"] for message in conversation)
        return chat_ids(conversation)

    latest = [""]
    monkeypatch.setattr(model, "chat_ids", noted)
    monkeypatch.setattr(model, "stream", watching)
    return EndogenousLLM(llm=model, max_tokens=8), seen


@pytest.mark.parametrize("kind", ESCAPED)
def test_a_context_is_text_not_a_list(small, kind):
    """LlamaIndex gives one synthesizer's context as a list, and counts it as text."""
    llm, seen = small
    made = get_response_synthesizer(llm=llm, response_mode=ResponseMode.SIMPLE_SUMMARIZE)
    made.synthesize("What is it?", nodes(ESCAPED[kind]))
    assert ESCAPED[kind] * 2 in seen[-1]
    assert "['" not in seen[-1] and "What is it?" in seen[-1]


@pytest.mark.parametrize("mode", [m for m in ResponseMode if m not in NO_ANSWER])
@pytest.mark.parametrize("script", ["Thai", "emoji"])
def test_a_long_question(small, caplog, mode, script):
    """Its length is not in LlamaIndex's first guess of how much context fits."""
    llm, seen = small
    question = (TEXTS[script] * 40)[:150] + "?"
    made = get_response_synthesizer(llm=llm, response_mode=mode)
    with caplog.at_level("WARNING"):
        made.synthesize(question, nodes(TEXTS[script]))
    assert seen and all(question in text for text in seen)
    assert "exceed the window" not in caplog.text


def test_what_is_cut_is_said_and_what_is_asked_is_not(small, caplog):
    llm, seen = small
    template = PromptTemplate("{context_str}\nThe question: {query_str}")
    made = template.partial_format(query_str="Who?")
    llm.predict(made, context_str=TEXTS["emoji"] * 400)
    assert "context_str is cut" in caplog.text
    list(llm.stream(made, context_str=[TEXTS["Hindi"] * 100, "more"]))
    asyncio.run(llm.apredict(made, context_str=TEXTS["Thai"] * 100))
    assert len(seen) == 3 and all(text.endswith("The question: Who?") for text in seen)
    with pytest.raises(InputError, match="window"):  # nothing is left that could be cut
        llm.predict(template.partial_format(query_str="Who? " * 900), context_str="He.")
    with pytest.raises(InputError, match="window"):
        llm.complete("Who? " * 900)


def test_trees_and_streams(llm, prompts):
    made = get_response_synthesizer(llm=llm, response_mode=ResponseMode.TREE_SUMMARIZE)
    assert str(made.synthesize("ใคร?", nodes(TEXTS["Thai"], 400))) != "Empty Response"
    streaming = get_response_synthesizer(llm=llm, streaming=True)
    assert list(streaming.synthesize("谁?", nodes(TEXTS["Chinese"], 200)).response_gen)
    again = asyncio.run(
        get_response_synthesizer(llm=llm).asynthesize("Кто?", nodes(TEXTS["Russian"], 300))
    )
    assert str(again) != "Empty Response"
    assert max(prompts) <= WINDOW - llm.max_tokens


def test_engines_over_the_index(engine, llm, prompts):
    index = EndogenousIndex(engine)
    retriever = index.as_retriever(k=3)
    for made in (
        index.as_query_engine(llm=llm, similarity_top_k=3),
        RetrieverQueryEngine.from_args(retriever, llm=llm),
    ):
        assert str(made.query("Who built the lighthouse on Sandoy?")) != "Empty Response"
    assert max(prompts) <= WINDOW - llm.max_tokens


def test_counts_are_its_own(engine, llm):
    tokenizer = get_tokenizer()
    assert isinstance(tokenizer, OwnTokens)
    for text in TEXTS.values():
        assert len(tokenizer(text)) == engine.llm.count_tokens(text)
    assert tokenizer("half \ud83d a pair")
    chat = CondensePlusContextChatEngine.from_defaults(
        EndogenousIndex(engine).as_retriever(k=1), llm=llm
    )
    assert isinstance(chat._memory.tokenizer_fn, OwnTokens)
