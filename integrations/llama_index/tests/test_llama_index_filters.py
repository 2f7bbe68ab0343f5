"""LlamaIndex's filters, against LlamaIndex's own evaluation of them."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.vector_stores import FilterCondition, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores import FilterOperator as Op
from llama_index.core.vector_stores.utils import build_metadata_filter_fn
from llama_index.retrievers.endogenous.filters import to_filter

from s3_retriever.errors import InputError
from s3_retriever.search.filters import compile_filter

WORDS = ["red", "Red wine", "blue", "", "wine", "WINE", "e", "d W"]
NUMBERS = [1, 2, 3.5]
DOCUMENTS = [
    {"word": "red", "number": 1, "list": ["red", "blue"]},
    {"word": "Red wine", "number": 2, "list": ["wine"]},
    {"word": "", "number": 3.5, "list": []},
    {"word": None, "number": None, "list": None},
    {"word": "wine", "number": 1, "list": ["blue", "wine", "red"]},
    {},
]

ORDERED = [Op.EQ, Op.NE, Op.GT, Op.GTE, Op.LT, Op.LTE]
MATCHES = [Op.TEXT_MATCH, Op.TEXT_MATCH_INSENSITIVE]
words, numbers = st.sampled_from(WORDS), st.sampled_from(NUMBERS)


def one(keys, operators, values):
    return st.builds(
        MetadataFilter,
        key=st.sampled_from(keys),
        operator=st.sampled_from(operators),
        value=values,
    )


one_filter = st.one_of(
    one(["word"], [*ORDERED, *MATCHES], words),
    one(["number"], ORDERED, numbers),
    one(["word"], [Op.IN, Op.NIN], st.lists(words)),
    one(["list"], [Op.ANY, Op.ALL], st.lists(words, min_size=1)),
    one(["list"], [Op.CONTAINS], words),
    one(["word", "list", "none"], [Op.IS_EMPTY], st.none()),
)
filters = st.builds(
    MetadataFilters,
    filters=st.lists(one_filter, max_size=3),
    condition=st.sampled_from(list(FilterCondition)),
)


def values(key):
    return [document.get(key) for document in DOCUMENTS]


@given(filters)
def test_every_operator_and_condition_means_the_same(wanted):
    theirs = build_metadata_filter_fn(lambda n: DOCUMENTS[int(n)], wanted)
    ours = compile_filter(to_filter(wanted, values))
    for number, document in enumerate(DOCUMENTS):
        assert ours(document) == theirs(str(number)), document


@given(filters, filters)
def test_nested_filters(first, second):
    both = MetadataFilters(filters=[first, second], condition=FilterCondition.OR)
    match = compile_filter(to_filter(both, values))
    parts = [compile_filter(to_filter(part, values)) for part in (first, second)]
    for document in DOCUMENTS:
        assert match(document) == any(part(document) for part in parts)


@given(words)
def test_a_match_without_case_is_the_engines_own(word):
    """No list of the values that documents have now: one added later is found as well."""

    def never(key):
        raise AssertionError("the documents were looked through")

    wanted = MetadataFilter(key="word", value=word, operator=Op.TEXT_MATCH_INSENSITIVE)
    ours = to_filter(MetadataFilters(filters=[wanted]), never)
    assert ours == {"$and": [{"word": {"$match": word} if word else {"$gte": ""}}]}
    match = compile_filter(ours)
    for document in DOCUMENTS:
        text = document.get("word")
        assert match(document) == (isinstance(text, str) and word.lower() in text.lower())


def test_every_operator_is_translated():
    for operator in Op:
        value = ["x"] if operator in (Op.IN, Op.NIN, Op.ANY, Op.ALL) else "x"
        compile_filter(
            to_filter(
                MetadataFilters(filters=[MetadataFilter(key="a", value=value, operator=operator)]),
                values,
            )
        )


@pytest.mark.parametrize(("operator", "value"), [(Op.ALL, "x"), (Op.TEXT_MATCH, 3), (Op.IN, "x")])
def test_values_of_the_wrong_type_are_refused(operator, value):
    wrong = MetadataFilters(filters=[MetadataFilter(key="a", value=value, operator=operator)])
    with pytest.raises(InputError):
        compile_filter(to_filter(wrong, values))
