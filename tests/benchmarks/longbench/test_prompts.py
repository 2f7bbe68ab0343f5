"""Prompts: the template, the cut in the middle, shots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_retriever_bench.longbench.prompts import Shot, middle_cut, prompt_ids
from s3_retriever_bench.longbench.tasks import TASKS

from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from tests.tiny import tiny_llm

TASK = TASKS["multifieldqa_en"]


def test_the_official_prompt_is_one_user_turn(llm: TransformersModel) -> None:
    ids = prompt_ids(llm, TASK, "It rained.", "Did it?", limit=1000)
    assert ids == llm.chat_ids([{"role": "user", "content": TASK.fill("It rained.", "Did it?")}])


def test_a_long_prompt_loses_its_middle_before_the_template(llm: TransformersModel) -> None:
    words = [f"w{n}" for n in range(2000)]
    ids = prompt_ids(llm, TASK, " ".join(words), "Did it?", limit=500)
    bare = len(llm.chat_ids([{"role": "user", "content": ""}]))
    assert 490 <= len(ids) <= 500
    text = llm.decode(ids)
    assert "Read the following text" in text
    assert "w0 w1 w2" in text
    assert text.count("Question: Did it?\nAnswer:") == 1
    assert "w1000 " not in text
    prompt = llm.tokenize(TASK.fill(" ".join(words), "Did it?")).ids.tolist()
    half = (500 - bare) // 2
    middle = llm.tokenize(llm.decode(prompt[:half]) + llm.decode(prompt[-half:]))
    template = llm.chat_ids([{"role": "user", "content": ""}])
    assert ids[: len(ids) - len(middle)] != template  # the text stands inside the template
    assert middle.ids.tolist() in [ids[n : n + len(middle)] for n in range(len(ids))]


def test_shots_are_turns_before_the_question_and_are_never_cut(llm: TransformersModel) -> None:
    shots = [Shot("Fog came.", "What came?", "Fog")]
    ids = prompt_ids(llm, TASK, "rain " * 900, "Did it?", limit=400, shots=shots)
    first = [
        {"role": "user", "content": TASK.fill("Fog came.", "What came?")},
        {"role": "assistant", "content": "Fog"},
    ]
    assert len(ids) <= 400
    shown = llm.chat_ids([*first, {"role": "user", "content": "Read"}])
    start = shown.index(llm.tokenize("Read").ids[0], len(llm.chat_ids(first[:1])))
    assert ids[:start] == shown[:start]
    with pytest.raises(InputError, match="fewer shots"):
        prompt_ids(llm, TASK, "rain", "Did it?", limit=60, shots=shots)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), st.integers(2, 60))
def test_the_cut_keeps_halves_and_breaks_no_character(text: str, limit: int) -> None:
    tiny = tiny_llm()
    cut = middle_cut(tiny, text, limit)
    tokens = tiny.tokenize(text)
    if len(tokens) <= limit:
        assert cut == text
        return
    half = limit // 2
    ends = [n for n in range(len(cut) + 1) if text.startswith(cut[:n]) and text.endswith(cut[n:])]
    assert ends  # a beginning and an end of the text
    decoded = tiny.decode(tokens.ids[:half]) + tiny.decode(tokens.ids[-half:])
    if "\N{REPLACEMENT CHARACTER}" not in decoded:
        assert cut == decoded  # as LongBench has it
