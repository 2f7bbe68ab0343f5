"""The contract suites of :mod:`s3_retriever.search.base`.

Inherit from the suite of what your class implements and give it its fixture::

    class TestMyEngine(BlockIndexContract):
        @pytest.fixture
        def index(self) -> BlockIndex:
            return MyEngine(n_hookpoints=N_HOOKPOINTS, n_latents=N_LATENTS)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pytest

from s3_retriever.errors import InputError
from s3_retriever.search.base import BLOCK_TOKENS, Block, BlockHit, BlockIndex, CandidateSearch
from s3_retriever.testing.documents import N_HOOKPOINTS, N_LATENTS, sample_documents
from s3_retriever.types import EncodedDocument

__all__ = ["BlockIndexContract", "CandidateSearchContract", "MakeSearch"]

MakeSearch = Callable[[Sequence[EncodedDocument], Collection[str]], CandidateSearch]
"""From documents, in their order, and the ids of those that were deleted again."""

_S, _T = "00000001-aaaaaaaa", "00000002-bbbbbbbb"
_TEXTS = (
    "Red roses need water and sun",
    "The sky is blue because of scattering, and the sky is wide",
    "Café au lait in Köln",
    "roses roses roses",
)
_HARMLESS = ("", " ", "?!", "OR (", "\x00", '"', "a:b^2~", "😀", "*", "\\", "x" * 100_000)


def _block(segment: str, number: int, text: str, *, document: int | None = None) -> Block:
    """A block of three tokens whose latents say its number: 4 n to 4 n + 3 in both hookpoints."""
    ids = np.tile(np.arange(4 * number, 4 * number + 4, dtype=np.uint16), (3, N_HOOKPOINTS, 1))
    return Block(segment, number if document is None else document, number, text, ids)


def _numbers(hits: Sequence[BlockHit]) -> list[int]:
    return [hit.number for hit in hits]


class BlockIndexContract:
    """What every :class:`~s3_retriever.search.base.BlockIndex` has to pass."""

    @pytest.fixture
    def index(self) -> BlockIndex:
        """An empty one for so many hookpoints and latents as ``testing.documents`` says."""
        raise NotImplementedError

    @pytest.fixture
    def filled(self, index: BlockIndex) -> BlockIndex:
        """Of four blocks of as many documents in one segment."""
        with index.changing() as writer:
            writer.add(_block(_S, number, text) for number, text in enumerate(_TEXTS))
        return index.renewed()

    def test_an_empty_index(self, index: BlockIndex) -> None:
        """Nothing is in it, and nothing is found."""
        assert (index.n_blocks(), index.segments(), index.segment_blocks(_S)) == (0, [], 0)
        assert index.n_dead_blocks() == 0
        assert index.document_frequency("roses") == 0
        assert index.search_words(index.words("roses"), 5) == []
        assert index.search_features([{0: 1.0}, {}], 5) == []

    def test_words_repeat_and_ignore_case(self, index: BlockIndex) -> None:
        """Words come in the text's order, each as often as it stands there."""
        assert index.words("") == []
        assert index.words("Roses sky ROSES") == index.words("roses sky roses")
        once = index.words("roses sky")
        assert index.words("roses sky roses") == [*once, once[0]]

    def test_words_are_found_by_the_words_of_a_question(self, filled: BlockIndex) -> None:
        """What was indexed and what is asked are cut into words alike."""
        for number, text in enumerate(_TEXTS):
            for word in set(filled.words(text)):
                assert number in _numbers(filled.search_words([word], 9))

    def test_frequencies_count_blocks(self, filled: BlockIndex) -> None:
        """A block counts once for a word, however often it holds it."""
        (roses,), (sky,) = filled.words("roses"), filled.words("sky")
        assert (filled.document_frequency(roses), filled.document_frequency(sky)) == (2, 1)
        assert filled.document_frequency("nowhere") == 0

    def test_words_rank_like_bm25(self, filled: BlockIndex) -> None:
        """More of a word in a shorter block is better, and so is a rarer word."""
        assert _numbers(filled.search_words(filled.words("roses"), 9)) == [3, 0]
        (rare,) = filled.search_words(filled.words("water"), 9)
        common = filled.search_words(filled.words("roses"), 9)[1]
        assert rare.number == common.number == 0
        assert rare.score > common.score > 0

    def test_scores_of_words_add_up(self, filled: BlockIndex) -> None:
        """The score of a block is the sum over the words it shares with the question."""
        scores = [filled.search_words(filled.words(w), 9)[0].score for w in ("blue", "wide")]
        (both,) = filled.search_words(filled.words("blue wide"), 9)
        assert both.number == 1
        assert both.score == pytest.approx(sum(scores), rel=1e-5)

    def test_a_repeated_word_counts_once(self, filled: BlockIndex) -> None:
        """As the callers rely on, who pass a question's words as they stand."""
        once, thrice = filled.words("roses sky"), filled.words("roses sky roses roses")
        assert filled.search_words(thrice, 9) == filled.search_words(once, 9)

    def test_hits_are_the_k_best_in_order(self, filled: BlockIndex) -> None:
        """A smaller ``k`` cuts the list and changes nothing else."""
        words = filled.words("roses and sky in")
        hits = filled.search_words(words, 9)
        assert sorted(_numbers(hits)) == [0, 1, 2, 3]
        assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
        assert {h.segment for h in hits} == {_S}
        for k in range(5):
            assert filled.search_words(words, k) == hits[:k]

    @pytest.mark.parametrize("text", _HARMLESS, ids=range(len(_HARMLESS)))
    def test_no_text_is_a_query_language(self, filled: BlockIndex, text: str) -> None:
        """Signs and long runs are no words, or words that are nowhere."""
        assert filled.search_words(filled.words(text), 9) == []

    def test_features_find_the_blocks_that_hold_them(self, filled: BlockIndex) -> None:
        """By hookpoint and latent, and by no other."""
        for number in range(4):
            for hookpoint in range(N_HOOKPOINTS):
                weights: list[dict[int, float]] = [{} for _ in range(N_HOOKPOINTS)]
                weights[hookpoint] = {4 * number + 1: 1.0}
                assert _numbers(filled.search_features(weights, 9)) == [number]
        assert filled.search_features([{N_LATENTS - 1: 1.0}, {}], 9) == []

    def test_latents_of_one_hookpoint_are_not_those_of_another(self, index: BlockIndex) -> None:
        """The same number names different latents."""
        ids = np.zeros((1, N_HOOKPOINTS, 1), np.uint16)
        ids[:, 1] = 9
        with index.changing() as writer:
            writer.add([Block(_S, 0, 0, "", ids)])
        found = index.renewed()
        assert len(found.search_features([{}, {9: 1.0}], 9)) == 1
        assert found.search_features([{9: 1.0}, {}], 9) == []

    def test_weights_decide_the_order(self, filled: BlockIndex) -> None:
        """Of blocks that hold one of the latents each."""
        hits = filled.search_features([{0: 1.0, 4: 3.0}, {8: 2.0}], 9)
        assert _numbers(hits) == [1, 2, 0]
        assert hits[0].score == pytest.approx(3 * hits[2].score, rel=1e-5)
        assert filled.search_features([{0: 1.0, 4: 3.0}, {8: 2.0}], 2) == hits[:2]

    @pytest.mark.parametrize("k", [0, -1])
    def test_no_hits_are_asked_for(self, filled: BlockIndex, k: int) -> None:
        """And none come."""
        assert filled.search_words(filled.words("roses"), k) == []
        assert filled.search_features([{0: 1.0}, {}], k) == []
        assert filled.search_features([{}, {}], 9) == []

    def test_a_filter_changes_no_score(self, filled: BlockIndex) -> None:
        """Of all documents it changes nothing; of some, only which are there."""
        words, weights = filled.words("roses sky in"), [{0: 1.0, 4: 3.0}, {8: 2.0}]
        for allowed in ([0, 1, 2, 3], [0, 2], [1], []):
            documents = {_S: allowed, "unknown": [0]}
            for hits, filtered in (
                (filled.search_words(words, 9), filled.search_words(words, 9, documents)),
                (filled.search_features(weights, 9), filled.search_features(weights, 9, documents)),
            ):
                assert filtered == [h for h in hits if h.number in allowed]
        assert filled.search_words(words, 9, {}) == []

    def test_a_filter_comes_before_k(self, filled: BlockIndex) -> None:
        """The best of those that are allowed, not the allowed of the best."""
        words = filled.words("roses")
        assert _numbers(filled.search_words(words, 1)) == [3]
        assert _numbers(filled.search_words(words, 1, {_S: [0]})) == [0]
        assert _numbers(filled.search_features([{0: 1.0, 4: 3.0}, {}], 1, {_S: [0]})) == [0]

    def test_a_document_of_many_blocks_passes_as_a_whole(self, index: BlockIndex) -> None:
        """A filter names documents; hits name blocks."""
        with index.changing() as writer:
            writer.add(_block(_S, n, "roses", document=n // 2) for n in range(4))
        found = index.renewed()
        hits = found.search_words(found.words("roses"), 9, {_S: [1]})
        assert sorted(_numbers(hits)) == [2, 3]
        with found.changing() as writer:
            writer.delete(_S, [1])
        assert found.renewed().segment_blocks(_S) == 2

    def test_segments_are_told_apart(self, filled: BlockIndex) -> None:
        """Documents and blocks of two segments have the same numbers."""
        with filled.changing() as writer:
            writer.add([_block(_T, 0, "violets and roses")])
        both = filled.renewed()
        assert sorted(both.segments()) == [_S, _T]
        assert (both.n_blocks(), both.segment_blocks(_S), both.segment_blocks(_T)) == (5, 4, 1)
        words = both.words("roses")
        assert [h[:2] for h in both.search_words(words, 9, {_T: [0]})] == [(_T, 0)]
        assert {h[:2] for h in both.search_words(words, 9)} == {(_S, 0), (_S, 3), (_T, 0)}

    def test_deleted_documents_are_gone(self, filled: BlockIndex) -> None:
        """From every search and from the counts."""
        with filled.changing() as writer:
            writer.delete(_S, [1, 3])
            writer.delete(_S, [77])  # of no document
        fewer = filled.renewed()
        assert (fewer.n_blocks(), fewer.segment_blocks(_S)) == (2, 2)
        assert fewer.n_dead_blocks() >= 0
        assert fewer.search_words(fewer.words("sky"), 9) == []
        assert _numbers(fewer.search_words(fewer.words("roses"), 9)) == [0]
        assert fewer.search_features([{4: 1.0}, {}], 9) == []

    def test_a_deleted_segment_is_gone(self, filled: BlockIndex) -> None:
        """Whole, and no other."""
        with filled.changing() as writer:
            writer.add([_block(_T, 0, "violets")])
        with filled.renewed().changing() as writer:
            writer.delete_segment(_S)
        left = filled.renewed()
        assert (left.segments(), left.n_blocks(), left.segment_blocks(_S)) == ([_T], 1, 0)
        assert left.search_words(left.words("roses"), 9) == []

    def test_nothing_is_visible_before_the_commit(self, filled: BlockIndex) -> None:
        """Neither here nor to those who look anew."""
        with filled.changing() as writer:
            writer.add([_block(_T, 0, "violets")])
            writer.delete(_S, [0])
            for seen in (filled, filled.renewed()):
                assert seen.n_blocks() == 4
                assert seen.search_words(seen.words("violets"), 9) == []
        assert filled.renewed().search_words(filled.words("violets"), 9) != []

    def test_what_raises_is_forgotten(self, filled: BlockIndex) -> None:
        """All of it, and the index can be written again."""
        with pytest.raises(RuntimeError), filled.changing() as writer:
            writer.add([_block(_T, 0, "violets")])
            writer.delete_segment(_S)
            raise RuntimeError
        assert (filled.renewed().segments(), filled.renewed().n_blocks()) == ([_S], 4)
        with filled.changing() as writer:
            writer.delete(_S, [0])
        assert (filled.renewed().segments(), filled.renewed().n_blocks()) == ([_S], 3)

    def test_an_open_one_never_changes(self, filled: BlockIndex) -> None:
        """A question that began before a commit ends as it began."""
        words = filled.words("roses sky")
        before = filled.search_words(words, 9)
        with filled.changing() as writer:
            writer.add([_block(_T, 0, "roses")])
            writer.delete(_S, [1])
        assert filled.search_words(words, 9) == before
        assert (filled.n_blocks(), filled.segments()) == (4, [_S])
        assert filled.renewed().search_words(words, 9) != before


class CandidateSearchContract:
    """What every :class:`~s3_retriever.search.base.CandidateSearch` has to pass."""

    @pytest.fixture(scope="class")
    def make_search(self) -> MakeSearch:
        """Makes a search over documents, less those of some ids."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    def documents(self) -> Sequence[EncodedDocument]:
        """What is searched."""
        return sample_documents()

    @pytest.fixture(scope="class")
    def search(
        self, make_search: MakeSearch, documents: Sequence[EncodedDocument]
    ) -> CandidateSearch:
        """Over all of them."""
        return make_search(documents, ())

    def test_nothing_is_there(self, make_search: MakeSearch) -> None:
        """And nothing is found."""
        empty = make_search([], ())
        assert empty.n_blocks == 0
        assert empty.search_words(empty.words("roses"), 9) == []
        assert empty.search_features([{0: 1.0}, {}], 9, {"lang": "en"}) == []

    def test_blocks_are_counted(
        self, search: CandidateSearch, documents: Sequence[EncodedDocument]
    ) -> None:
        """The last of a document is shorter."""
        assert search.n_blocks == sum(-(-len(d) // BLOCK_TOKENS) for d in documents)

    def test_ranges_lie_in_documents(
        self, search: CandidateSearch, documents: Sequence[EncodedDocument]
    ) -> None:
        """Whole blocks, each once, none across two documents."""
        lengths = {d.document.id: len(d) for d in documents}
        everything = [dict.fromkeys(range(N_LATENTS), 1.0) for _ in range(N_HOOKPOINTS)]
        found = [hit.tokens for hit in search.search_features(everything, 99)]
        assert len(set(found)) == len(found) == search.n_blocks
        for tokens in found:
            assert tokens.first % BLOCK_TOKENS == 0
            assert tokens.last == min(tokens.first + BLOCK_TOKENS, lengths[tokens.doc_id])

    @pytest.mark.parametrize("n", [0, 63, 64, 128, 299])
    def test_the_range_of_a_word_holds_it(self, search: CandidateSearch, n: int) -> None:
        """In ``long``, token n is the word w<n>."""
        (hit,) = search.search_words(search.words(f"w{n}"), 9)
        assert hit.tokens.doc_id == "long"
        assert hit.tokens.first <= n < hit.tokens.last
        (word,) = search.words(f"w{n}")
        assert search.document_frequencies([word]) == {word: 1}

    def test_frequencies_count_blocks(self, search: CandidateSearch) -> None:
        """Sixty-four of one word in a block are one; deleted blocks may still count."""
        (word,) = search.words("block")
        found = search.document_frequencies([word, "nowhere"])
        assert 3 <= found[word] < 64
        assert found["nowhere"] == 0
        assert search.document_frequencies([]) == {}

    def test_a_repeated_word_counts_once(self, search: CandidateSearch) -> None:
        """As the callers rely on, who pass a question's words as they stand."""
        once, thrice = search.words("roses sky"), search.words("roses sky roses roses")
        assert [thrice.count(word) for word in once[:2]] == [3, 1]
        assert search.search_words(thrice, 9) == search.search_words(once, 9) != []

    def test_hits_are_the_k_best_in_order(self, search: CandidateSearch) -> None:
        """Of words and of features."""
        weights = [{n: float(n) for n in range(1, 9)}, {}]
        words = search.words("roses sky block")
        for found in (
            [search.search_words(words, k) for k in (0, 1, 3, 99)],
            [search.search_features(weights, k) for k in (0, 1, 3, 99)],
        ):
            hits = found[-1]
            assert len(hits) > 3
            assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
            assert found[:-1] == [[], hits[:1], hits[:3]]

    def test_features_find_the_blocks_that_hold_them(
        self, search: CandidateSearch, documents: Sequence[EncodedDocument]
    ) -> None:
        """Compared with a look at every token."""
        for hookpoint in range(N_HOOKPOINTS):
            for latent in range(0, N_LATENTS, 7):
                holders = {
                    (d.document.id, int(row) // BLOCK_TOKENS * BLOCK_TOKENS)
                    for d in documents
                    for row in np.flatnonzero((d.ids[:, hookpoint] == latent).any(axis=-1))
                }
                weights: list[dict[int, float]] = [{} for _ in range(N_HOOKPOINTS)]
                weights[hookpoint] = {latent: 1.0}
                hits = search.search_features(weights, 99)
                assert {(h.tokens.doc_id, h.tokens.first) for h in hits} == holders

    def test_a_filter_comes_before_k_and_changes_no_score(self, search: CandidateSearch) -> None:
        """The best of those that pass, with the scores they have among all."""
        words = search.words("roses")
        best, second = search.search_words(words, 9)
        assert (best.tokens.doc_id, second.tokens.doc_id) == ("more", "roses")
        assert search.search_words(words, 1) == [best]
        assert search.search_words(words, 1, {"lang": "en"}) == [second]
        weights = [dict.fromkeys(range(N_LATENTS), 1.0), {}]
        hits = search.search_features(weights, 99)
        german = [h for h in hits if h.tokens.doc_id in ("Köln/ü?", "more")]
        assert search.search_features(weights, 99, {"lang": "de"}) == german
        assert search.search_features(weights, 99, {}) == hits
        assert search.search_features(weights, 99, {"lang": "fr"}) == []

    def test_filters_that_are_equal_are_not_the_same(self, search: CandidateSearch) -> None:
        """In Python 1 is 1.0 and ``True``; in metadata ``True`` is no number."""
        weights = [dict.fromkeys(range(N_LATENTS), 1.0), {}]

        def found(value: object) -> set[str]:
            hits = search.search_features(weights, 99, {"flag": value})
            return {hit.tokens.doc_id for hit in hits}

        assert found(1) == {"roses", "one"}
        assert found(True) == {"sky"}
        assert found(1.0) == {"roses", "one"}
        assert found(False) == {"Köln/ü?"}
        assert found(0) == {"last"}

    def test_a_filter_that_is_changed_is_another(self, search: CandidateSearch) -> None:
        """What a filter held when it was asked before does not matter."""
        words, languages = search.words("roses"), ["en"]
        condition = {"lang": {"$in": languages}}
        assert [h.tokens.doc_id for h in search.search_words(words, 9, condition)] == ["roses"]
        languages[0] = "de"
        assert [h.tokens.doc_id for h in search.search_words(words, 9, condition)] == ["more"]

    def test_a_wrong_filter_is_said(self, search: CandidateSearch) -> None:
        """Not taken for one that nothing passes."""
        with pytest.raises(InputError, match=r"\$near"):
            search.search_words(search.words("roses"), 9, {"flag": {"$near": 1}})

    def test_deleted_documents_are_never_found(
        self, make_search: MakeSearch, documents: Sequence[EncodedDocument]
    ) -> None:
        """With a filter and without."""
        search = make_search(documents, ("more", "long"))
        assert [h.tokens.doc_id for h in search.search_words(search.words("roses"), 9)] == ["roses"]
        assert search.search_words(search.words("w7"), 9) == []
        assert search.search_words(search.words("roses"), 9, {"lang": "de"}) == []
