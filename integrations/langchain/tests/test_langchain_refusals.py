"""What a chat model of this library does not do, and says so, here and over a server."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langchain_core")

from langchain_endogenous import ChatEndogenous

from s3_retriever.errors import InputError
from tests.integrations.samples import TOKEN, needs_profile

pytestmark = needs_profile


@pytest.fixture(params=["here", "there"])
def chat(request, engine, server):
    if request.param == "here":
        return ChatEndogenous(llm=engine.llm, max_tokens=2)
    return ChatEndogenous(url=server.url, token=TOKEN, max_tokens=2)


@pytest.mark.parametrize(
    ("use", "advice"),
    [
        (lambda c: c.bind_tools([]), "calls no tools.*give an agent with another model"),
        (lambda c: c.invoke("Hi", tools=[{}]), "calls no tools"),
        (lambda c: c.with_structured_output({}), "with an output parser"),
        (lambda c: c.invoke("Hi", response_format={"type": "json_object"}), "output parser"),
        (lambda c: asyncio.run(c.ainvoke("Hi", response_format={})), "output parser"),
        (lambda c: list(c.stream("Hi", frequency_penalty=1)), "takes max_tokens, temperature"),
    ],
)
def test_it_says_what_to_use_instead(chat, use, advice):
    with pytest.raises(InputError, match=advice):
        use(chat)


def test_top_p(chat):
    greedy = chat.invoke("Name a colour.").content
    assert chat.invoke("Name a colour.", temperature=1.0, top_p=1e-9).content == greedy
    nearly = ChatEndogenous(llm=chat.llm, max_tokens=2, temperature=1.0, top_p=1e-9)
    assert nearly.invoke("Name a colour.").content == greedy
    assert nearly.to_config()["top_p"] == 1e-9
    with pytest.raises(InputError, match="top_p must be"):
        chat.invoke("Name a colour.", top_p=1.5)
