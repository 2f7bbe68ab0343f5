"""The contract suite of :class:`~s3_retriever.retrieval.legs.base.Leg`, and what a leg is tried on.

Inherit from it and give it your leg::

    class TestMyLeg(LegContract):
        @pytest.fixture(scope="class")
        def leg(self) -> Leg:
            return MyLeg()

The contexts have no model: a token's only latent names its word, :class:`WordScorer` looks for the
question's words, and :class:`WordJudge` finds a question likely after a text that has them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever.errors import InputError
from s3_retriever.profiles.card import Hookpoint, ProfileCard
from s3_retriever.retrieval.context import LegContext
from s3_retriever.retrieval.legs.base import Leg
from s3_retriever.retrieval.legs.registry import (
    leg_named,
    leg_names,
    register_leg,
    unregister_leg,
)
from s3_retriever.retrieval.presets import Preset, register_preset, unregister_preset
from s3_retriever.retrieval.scoring.base import PartialScores, Totals
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.search.base import FeatureWeights
from s3_retriever.search.filters import Filter
from s3_retriever.settings import CandidateSettings, RetrieveSettings
from s3_retriever.storage.index import Index
from s3_retriever.storage.view import View
from s3_retriever.text import find_bounds, whole_words
from s3_retriever.types import Document, EncodedDocument, SpanRef, TokenBatch, Tokens

__all__ = [
    "N_LATENTS",
    "LegContract",
    "WordJudge",
    "WordScorer",
    "encode_words",
    "make_context",
    "make_view",
]

N_LATENTS = 1024
"""More than the words of a few texts, so that two rarely share a number."""


def _latent(word: str) -> int:
    """The number of a word, whatever stands around it."""
    return zlib.crc32("".join(re.findall(r"\w", word.lower())).encode()) % N_LATENTS


def encode_words(document: Document) -> EncodedDocument:
    """A document of which every word with the space behind it is a token with one latent.

    Example:
        >>> encoded = encode_words(Document("d", "Red roses. Red"))
        >>> encoded.starts.tolist(), bool(encoded.ids[0, 0, 0] == encoded.ids[2, 0, 0])
        ([0, 4, 11], True)
    """
    places = [m.span() for m in re.finditer(r"\S+\s*|\s+", document.text)]
    ids = [_latent(document.text[start:end]) for start, end in places]
    return EncodedDocument(
        document=document,
        starts=np.array([start for start, _ in places], np.uint32),
        ends=np.array([end for _, end in places], np.uint32),
        ids=np.array(ids, np.uint16).reshape(-1, 1, 1),
        activations=np.ones((len(places), 1, 1), np.uint8),
        bounds=find_bounds(document.text),
    )


def make_view(documents: Sequence[Document]) -> View:
    """A store and search of documents, in memory."""
    hookpoint = Hookpoint(
        layer=0, kv_heads=(0,), activation_scale=1.0, fvu=0.0, dead_fraction=0.0, sha256="0" * 64
    )
    card = ProfileCard(
        name="words",
        model="words",
        family="words",
        n_layers=1,
        n_heads=1,
        n_kv_heads=1,
        head_dim=1,
        tokenizer_sha256="0" * 64,
        k=1,
        n_latents=N_LATENTS,
        hookpoints=(hookpoint,),
    )
    index = Index(None, card)
    if documents:
        with index.writing():
            index.commit([encode_words(document) for document in documents])
    return index.view


class WordScorer:
    """A token scores 1 if its word is one of the question's; tokens share nothing."""

    def __init__(self, question: str) -> None:
        """Take the question's words."""
        self._table = torch.zeros(N_LATENTS)
        self._table[[_latent(word) for word in question.split()]] = 1.0

    def features(self, limit: int) -> FeatureWeights:
        """The words, all alike."""
        return [{int(latent): 1.0 for latent in self._table.nonzero()[:limit, 0]}]

    def partial(self, batch: TokenBatch) -> PartialScores:
        """What tokens score."""
        latents = torch.from_numpy(batch.ids[:, 0].astype(np.int64))
        return PartialScores(len(batch), (self._table[latents],))

    def finish(self, part: PartialScores, totals: Totals) -> np.ndarray:
        """The same, whatever others score."""
        scores: np.ndarray = part.logits[0][:, 0].numpy()
        return scores


class WordJudge:
    """A model of words: one of a question is likely (-1 nat) after a text that has it, else -5."""

    window = 4096
    adds_bos = False

    def tokenize(self, text: str) -> Tokens:
        """Words, by the numbers of their latents."""
        places = [m.span() for m in re.finditer(r"\S+", text)]
        return Tokens(
            np.array([_latent(text[a:b]) for a, b in places], np.int32),
            np.array([a for a, _ in places], np.uint32),
            np.array([b for _, b in places], np.uint32),
        )

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """Words."""
        return self.tokenize(text).ids

    def count_tokens(self, text: str) -> int:
        """Words."""
        return len(self.tokenize(text))

    def tokenizer_hash(self) -> str:
        """Of no vocabulary."""
        return "0" * 64

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """``(n_passages, n_words)``."""
        asked = self.tokenize(question).ids
        rows = [np.where(np.isin(asked, passage), -1.0, -5.0) for passage in passages]
        return np.array(rows, dtype=np.float32).reshape(len(passages), len(asked))


def make_context(
    documents: Sequence[Document] | Mapping[str, str],
    question: str,
    *,
    weights: Mapping[str, float],
    settings: RetrieveSettings | None = None,
    filter: Filter | None = None,
) -> LegContext:
    """A question on some documents, before any leg was asked.

    Args:
        documents: or texts by id.
        question: plain text.
        weights: of the legs that will be asked; tokens have scores if ``features`` is one of them.
        settings: by default the usual ones.
        filter: only documents whose metadata pass.

    Example:
        >>> context = make_context({"a": "Red roses. A sky."}, "roses?", weights={"bm25": 1.0})
        >>> [span.ref.id for span in leg_named("bm25").propose(context)]
        ['a:0-10']
    """
    if isinstance(documents, Mapping):
        documents = [Document(doc_id, text) for doc_id, text in documents.items()]
    view = make_view(documents)
    return LegContext(
        question,
        store=view,
        search=view.search,
        llm=WordJudge(),
        make_scorer=lambda: WordScorer(question),
        weights=weights,
        look_up_words=True,
        settings=settings or RetrieveSettings(),
        filter=filter,
    )


QUESTION = "Who is the mother of the director of the film Aurora?"

DOCUMENTS = (
    Document(
        "film",
        "Aurora\nAurora is a film by the director Mirelle Vasko. It was shot in Oslo.\n\n"
        "The music is by Jon Berg. Nobody liked it much.",
        {"kind": "film"},
    ),
    Document("director", "Mirelle Vasko was born to the weaver Ada Vasko. Ada is her mother."),
    Document("bread", "Sourdough needs no yeast. " * 30 + "Bread is baked."),
    Document("one", "Aurora"),
    Document(
        "odd", "  \n\n.\tfilm?! \u2029 Who\u0301 ... 東京は日本の映画です。\r\n\r\nA mother  "
    ),
)

_words = st.sampled_from(["Aurora", "film", "Vasko", "weaver", "mother", "is", "x", "東京", "1887"])
_joints = st.sampled_from([" ", " ", ". ", "? ", "\n", "\n\n", " \u2029", ".\r\n\r\n"])
_texts = st.lists(st.tuples(_words, _joints), min_size=1, max_size=30).map(
    lambda parts: "".join(word + joint for word, joint in parts)
)


_INHERITED = (HealthCheck.differing_executors,)
"""Which hypothesis takes for a mistake: several classes run the same test."""


class LegContract:
    """What every :class:`~s3_retriever.retrieval.legs.base.Leg` has to pass."""

    whole_sentences: ClassVar[bool] = True
    """Whether its spans begin and end with sentences; all end with words."""
    used: ClassVar[RetrieveSettings] = RetrieveSettings()
    """Settings in which it finds something in :data:`DOCUMENTS` for :data:`QUESTION`."""
    inactive: ClassVar[RetrieveSettings | None] = None
    """Settings in which it can find nothing, if there are any."""

    @pytest.fixture(scope="class")
    def leg(self) -> Leg:
        """The leg; what it comes after has to be registered."""
        raise NotImplementedError

    def ask(
        self,
        leg: Leg,
        documents: Sequence[Document] | Mapping[str, str],
        question: str = QUESTION,
        *,
        settings: RetrieveSettings | None = None,
        filter: Filter | None = None,
    ) -> tuple[LegContext, Sequence[ScoredSpan]]:
        """What it proposes after the legs that come before it, and what it was asked in."""
        context = make_context(
            documents,
            question,
            weights=dict.fromkeys(("features", *leg.after, leg.name), 1.0),
            settings=settings or self.used,
            filter=filter,
        )
        for before in leg.after:
            context.add(before, leg_named(before).propose(context))
        return context, leg.propose(context)

    def check(self, context: LegContext, spans: Sequence[ScoredSpan]) -> None:
        """Positive scores, best first; ranges inside documents that cut no word or sentence."""
        scores = [span.score for span in spans]
        assert all(np.isfinite(score) and score > 0 for score in scores)
        assert scores == sorted(scores, reverse=True)
        for ref in (span.ref for span in spans):
            assert ref.doc_id in context.store
            n_characters = context.store.n_characters(ref.doc_id)
            assert 0 <= ref.start < ref.end <= n_characters
            text = context.store.text(SpanRef(ref.doc_id, 0, n_characters))
            assert text[ref.start : ref.end].strip()
            assert whole_words(text, ref.start, ref.end) == (ref.start, ref.end)
            if self.whole_sentences:
                first, last = context.store.bounds(ref.doc_id).sentences.T.tolist()
                assert ref.start in first
                assert ref.end in last

    def test_it_says_what_it_is(self, leg: Leg) -> None:
        """A name of its own, which presets and scores use."""
        assert leg.name.isidentifier()
        assert leg.name not in leg.after
        assert len(set(leg.after)) == len(leg.after)

    def test_it_finds_spans(self, leg: Leg) -> None:
        """In texts about the question, once; asked again it says the same and changes nothing."""
        context, spans = self.ask(leg, DOCUMENTS)
        assert spans
        self.check(context, spans)
        assert set(context.found) == set(leg.after)
        assert list(leg.propose(context)) == list(spans)

    def test_it_looks_at_proposed_blocks_only(self, leg: Leg) -> None:
        """Of an index that is not looked at whole."""
        few = CandidateSettings(cover=0, words=2, features=2)
        small = self.used.model_copy(update={"candidates": few})
        self.check(*self.ask(leg, DOCUMENTS, settings=small))

    @settings(max_examples=25, suppress_health_check=_INHERITED)
    @given(texts=st.lists(_texts, min_size=1, max_size=3), question=_texts)
    def test_any_texts(self, leg: Leg, texts: list[str], question: str) -> None:
        """Odd line ends, repeated words, sentences of one word."""
        documents = {f"d{n}": text for n, text in enumerate(texts)}
        self.check(*self.ask(leg, documents, question))

    def test_an_empty_index(self, leg: Leg) -> None:
        """Nothing is found, nothing is wrong."""
        assert list(self.ask(leg, [])[1]) == []

    @pytest.mark.parametrize("text", ["Aurora", "x", "Aurora is a film. Who is the mother?", "."])
    def test_an_index_of_one_document(self, leg: Leg, text: str) -> None:
        """Of one token, say."""
        self.check(*self.ask(leg, {"only": text}))

    def test_a_question_that_shares_nothing(self, leg: Leg) -> None:
        """No word of it is in the index."""
        self.check(*self.ask(leg, DOCUMENTS, "Zzz qqq?"))

    def test_only_documents_that_pass(self, leg: Leg) -> None:
        """The filter of the question holds for every leg."""
        for kind, allowed in (("film", {"film"}), ("none", set())):
            context, spans = self.ask(leg, DOCUMENTS, filter={"kind": kind})
            assert {span.ref.doc_id for span in spans} <= allowed
            self.check(context, spans)

    def test_presets_keep_its_order(self, leg: Leg) -> None:
        """One in which it stands before what has to come before it is refused."""
        earlier = leg_named(leg.name) if leg.name in leg_names() else None
        register_leg(leg)
        try:
            for before in leg.after:
                with pytest.raises(InputError, match=f"{before} must precede {leg.name}"):
                    register_preset(Preset("wrong", {leg.name: 1.0, before: 1.0}))
            legs = dict.fromkeys((*leg.after, leg.name), 1.0)
            register_preset(Preset("right", legs))
        finally:
            unregister_preset("right")
            unregister_leg(leg.name)
            if earlier is not None:
                register_leg(earlier)

    def test_it_knows_when_it_can_find_nothing(self, leg: Leg) -> None:
        """Then a preset that has it does not ask it."""
        assert leg.active(self.used)
        if self.inactive is not None:
            assert not leg.active(self.inactive)
