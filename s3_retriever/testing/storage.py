"""The contract suite of :mod:`s3_retriever.storage.base`.

Inherit from it and give it a fixture::

    class TestMyStore(CodeStoreContract):
        @pytest.fixture(scope="class")
        def make_store(self) -> MakeStore:
            return lambda documents, deleted: MyStore(documents).without(deleted)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import pytest

from s3_retriever.errors import InputError
from s3_retriever.search.base import BLOCK_TOKENS
from s3_retriever.search.filters import Filter
from s3_retriever.storage.base import CodeStore
from s3_retriever.testing.documents import N_HOOKPOINTS, N_LATENTS, sample_documents
from s3_retriever.types import EncodedDocument, SpanRef, TokenRange

__all__ = ["CodeStoreContract", "MakeStore"]

MakeStore = Callable[[Sequence[EncodedDocument], Collection[str]], CodeStore]
"""From documents, in their order, and the ids of those that were deleted again."""

DELETED = ("sky", "block")

_FILTERS: tuple[tuple[Filter | None, tuple[str, ...]], ...] = (
    (None, ("roses", "one", "long", "Köln/ü?", "more", "last")),
    ({}, ("roses", "one", "long", "Köln/ü?", "more", "last")),
    ({"lang": "en"}, ("roses", "long")),
    ({"lang": "de"}, ("Köln/ü?", "more")),
    ({"flag": 1}, ("roses", "one")),
    ({"flag": True}, ()),  # it was deleted
    ({"flag": False}, ("Köln/ü?",)),
    ({"flag": 0}, ("last",)),
    ({"tags": "b"}, ("one",)),
    ({"lang": "fr"}, ()),
)
"""And which of the sample documents pass that are not deleted."""

_filters = pytest.mark.parametrize(("condition", "passing"), _FILTERS)


def _blocks(documents: Iterable[EncodedDocument]) -> list[TokenRange]:
    """All blocks of documents, in order."""
    return [
        TokenRange(d.document.id, first, min(first + BLOCK_TOKENS, len(d)))
        for d in documents
        for first in range(0, len(d), BLOCK_TOKENS)
    ]


class CodeStoreContract:
    """What every :class:`~s3_retriever.storage.base.CodeStore` has to pass."""

    @pytest.fixture(scope="class")
    def make_store(self) -> MakeStore:
        """Makes a store of documents, less those of some ids."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def documents(self) -> dict[str, EncodedDocument]:
        """What the store holds, in order of addition."""
        return {d.document.id: d for d in sample_documents() if d.document.id not in DELETED}

    @pytest.fixture(scope="class")
    def store(self, make_store: MakeStore) -> CodeStore:
        """Of :func:`~s3_retriever.testing.documents.sample_documents`, less two."""
        return make_store(sample_documents(), DELETED)

    def test_it_counts(self, store: CodeStore, documents: dict[str, EncodedDocument]) -> None:
        """What is there, not what was deleted."""
        assert store.n_documents == len(documents)
        assert store.n_tokens == sum(map(len, documents.values()))
        ids = np.concatenate([d.ids for d in documents.values()])
        for hookpoint in range(N_HOOKPOINTS):
            expected = np.bincount(ids[:, hookpoint].ravel(), minlength=N_LATENTS)
            assert store.df[hookpoint].tolist() == expected.tolist()

    def test_an_empty_store(self, make_store: MakeStore) -> None:
        """Nothing is in it and nothing comes out; whether it was filled before or not."""
        everything = [d.document.id for d in sample_documents()]
        for store in (make_store([], ()), make_store(sample_documents(), everything)):
            assert (store.n_documents, store.n_tokens, store.document_ids()) == (0, 0, [])
            assert "roses" not in store and store.document("roses") is None
            assert store.whole(most_blocks=0) == []
            assert len(store.tokens([])) == len(store.sample_blocks(None, 3)) == 0
            for condition in (None, {"lang": "en"}):
                assert list(store.scan_blocks(condition, 64)) == []

    def test_documents_come_back(
        self, store: CodeStore, documents: dict[str, EncodedDocument]
    ) -> None:
        """As they were added: text, metadata, and where sentences and paragraphs stand."""
        for doc_id, encoded in documents.items():
            assert doc_id in store
            assert store.document(doc_id) == encoded.document
            assert store.metadata(doc_id) == encoded.document.metadata
            assert store.n_characters(doc_id) == len(encoded.document.text)
            assert store.whole_document(doc_id) == TokenRange(doc_id, 0, len(encoded))
            bounds = store.bounds(doc_id)
            assert bounds.sentences.tolist() == encoded.bounds.sentences.tolist()
            assert bounds.paragraphs.tolist() == encoded.bounds.paragraphs.tolist()

    def test_a_document_that_is_changed_changes_nothing_here(self, store: CodeStore) -> None:
        """Its metadata are a copy, all the way down."""
        document = store.document("one")
        assert document is not None
        document.metadata["tags"].append("c")
        assert store.metadata("one")["tags"] == ["a", "b"]
        assert store.document("one") != document

    @pytest.mark.parametrize("doc_id", ["nobody", "sky", ""])
    def test_ids_that_are_not_there(self, store: CodeStore, doc_id: str) -> None:
        """Unknown and deleted ones alike."""
        assert doc_id not in store
        assert store.document(doc_id) is None
        ref, tokens = SpanRef(doc_id, 0, 1), TokenRange(doc_id, 0, 1)
        for ask in (
            lambda: store.metadata(doc_id),
            lambda: store.text(ref),
            lambda: store.bounds(doc_id),
            lambda: store.n_characters(doc_id),
            lambda: store.count_tokens(ref),
            lambda: store.whole_document(doc_id),
            lambda: store.merged([tokens]),
            lambda: store.characters([tokens]),
            lambda: store.tokens([tokens]),
        ):
            with pytest.raises(KeyError):
                ask()

    @_filters
    def test_ids_by_a_filter(
        self, store: CodeStore, condition: Filter | None, passing: tuple[str, ...]
    ) -> None:
        """In order of addition; asked twice, for what is kept between."""
        assert store.document_ids(condition) == list(passing)
        assert store.document_ids(condition) == list(passing)

    def test_filters_that_are_equal_are_not_the_same(self, store: CodeStore) -> None:
        """One after the other, for what is kept between."""
        for value, expected in ((0, ["last"]), (False, ["Köln/ü?"]), (0.0, ["last"])):
            assert store.document_ids({"flag": value}) == expected
            assert [r.doc_id for r in store.whole({"flag": value}, most_blocks=9) or ()] == expected

    def test_a_wrong_filter_is_said(self, store: CodeStore) -> None:
        """Wherever one can be given."""
        wrong = {"flag": {"$near": 1}}
        for ask in (
            lambda: store.document_ids(wrong),
            lambda: store.whole(wrong, most_blocks=99),
            lambda: store.sample_blocks(wrong, 1),
            lambda: list(store.scan_blocks(wrong, 64)),
        ):
            with pytest.raises(InputError, match=r"\$near"):
                ask()

    def test_text_and_tokens_of_spans(
        self, store: CodeStore, documents: dict[str, EncodedDocument]
    ) -> None:
        """Characters are code points; a token counts where it begins."""
        rng = np.random.default_rng(0)
        for doc_id, encoded in documents.items():
            text = encoded.document.text
            for _ in range(40):
                start, end = sorted(map(int, rng.integers(0, len(text) + 1, 2)))
                ref = SpanRef(doc_id, start, end)
                assert store.text(ref) == text[start:end]
                begin = encoded.starts
                assert store.count_tokens(ref) == int(((begin >= start) & (begin < end)).sum())

    @_filters
    def test_whole(
        self,
        store: CodeStore,
        documents: dict[str, EncodedDocument],
        condition: Filter | None,
        passing: tuple[str, ...],
    ) -> None:
        """Up to so many blocks, none with one less."""
        n = len(_blocks(documents[i] for i in passing))
        expected = [TokenRange(i, 0, len(documents[i])) for i in passing]
        assert store.whole(condition, most_blocks=n) == expected
        assert store.whole(condition, most_blocks=n + 1) == expected
        assert not n or store.whole(condition, most_blocks=n - 1) is None

    def test_tokens_are_those_that_were_put_in(
        self, store: CodeStore, documents: dict[str, EncodedDocument]
    ) -> None:
        """Of ranges in any order that may overlap, and of one token."""
        rng = np.random.default_rng(0)
        for _ in range(20):
            ranges = []
            for doc_id in rng.permutation(list(documents) * 2)[:7]:
                first, last = sorted(map(int, rng.integers(0, len(documents[doc_id]) + 1, 2)))
                if first < last:
                    ranges.append(TokenRange(str(doc_id), first, last))
            batch = store.tokens(ranges)
            assert batch.ranges == tuple(ranges)
            assert len(batch) == sum(map(len, ranges))
            spans = store.characters(ranges)
            for (tokens, rows), span in zip(batch.parts(), spans, strict=True):
                encoded = documents[tokens.doc_id]
                wanted = slice(tokens.first, tokens.last)
                for name in ("ids", "activations", "starts", "ends"):
                    found = getattr(batch, name)
                    assert found[rows].tolist() == getattr(encoded, name)[wanted].tolist()
                start, end = encoded.starts[tokens.first], encoded.ends[tokens.last - 1]
                assert span == SpanRef(tokens.doc_id, int(start), int(end))

    def test_no_tokens(self, store: CodeStore) -> None:
        """Arrays of the right shape but for their length."""
        some, none = store.tokens([TokenRange("one", 0, 1)]), store.tokens([])
        assert none.ranges == ()
        for name in ("ids", "activations", "starts", "ends"):
            assert getattr(none, name).shape == (0, *getattr(some, name).shape[1:])
            assert getattr(none, name).dtype == getattr(some, name).dtype

    @pytest.mark.parametrize(("first", "last"), [(0, 6), (5, 7), (-1, 2), (6, 6), (2, 2), (3, 1)])
    def test_no_range_reaches_a_neighbour(self, store: CodeStore, first: int, last: int) -> None:
        """``roses`` has six tokens: those of a longer or an older document are not there."""
        tokens = TokenRange("roses", first, last)
        if (first, last) == (0, 6):
            assert len(store.tokens([tokens])) == 6
            return
        for ask in (store.tokens, store.characters):
            with pytest.raises(IndexError):
                ask([tokens])

    def test_merged(self, store: CodeStore, documents: dict[str, EncodedDocument]) -> None:
        """The same tokens in the store's order, each once, in as few ranges as can be."""
        rng = np.random.default_rng(0)
        order = list(documents)
        for _ in range(40):
            ranges = []
            for doc_id in rng.permutation(order * 2)[:8]:
                first = int(rng.integers(0, len(documents[doc_id])))
                last = min(first + int(rng.integers(1, 90)), len(documents[doc_id]))
                ranges.append(TokenRange(str(doc_id), first, last))
            found = store.merged(iter(ranges))
            tokens = [(r.doc_id, n) for r in found for n in range(r.first, r.last)]
            assert set(tokens) == {(r.doc_id, n) for r in ranges for n in range(r.first, r.last)}
            assert len(set(tokens)) == len(tokens)
            keys = [(order.index(r.doc_id), r.first) for r in found]
            assert keys == sorted(keys)
            for one, two in itertools.pairwise(found):
                assert one.doc_id != two.doc_id or one.last < two.first
        assert store.merged([]) == []

    @_filters
    @pytest.mark.parametrize("n_tokens", [1, 64, 100, 10_000])
    def test_a_scan_covers_exactly_what_passes(
        self,
        store: CodeStore,
        documents: dict[str, EncodedDocument],
        condition: Filter | None,
        passing: tuple[str, ...],
        n_tokens: int,
    ) -> None:
        """Every block once, in order, with the codes that :meth:`tokens` gives for it."""
        seen: list[TokenRange] = []
        for part in store.scan_blocks(condition, n_tokens):
            ranges = store.block_ranges(part.blocks.tolist())
            assert len(ranges) == len(part.lengths) > 0
            assert len(part.ids) == len(part.activations) == part.lengths.sum()
            assert len(ranges) == 1 or len(part.ids) <= n_tokens
            assert [len(r) for r in ranges] == part.lengths.tolist()
            batch = store.tokens(ranges)
            assert np.array_equal(part.ids, batch.ids)
            assert np.array_equal(part.activations, batch.activations)
            seen += ranges
        assert seen == _blocks(documents[i] for i in passing)

    @_filters
    @pytest.mark.parametrize("n_blocks", [0, 1, 3, 99])
    def test_a_sample_is_of_whole_blocks_that_pass(
        self,
        store: CodeStore,
        documents: dict[str, EncodedDocument],
        condition: Filter | None,
        passing: tuple[str, ...],
        n_blocks: int,
    ) -> None:
        """So many, or all there are; spread from the first to the last."""
        blocks = _blocks(documents[i] for i in passing)
        sample = list(store.sample_blocks(condition, n_blocks).ranges)
        assert len(sample) == min(n_blocks, len(blocks))
        assert sample == [block for block in blocks if block in sample]
        if len(sample) > 1:
            assert (sample[0], sample[-1]) == (blocks[0], blocks[-1])
