"""The index's speed and size at any number of tokens, with codes of the real model.

A real corpus is scanned once; its documents, drawn again and again, make the index as large as is
wanted. Times are those of what the index does: building without the model, opening, and searching
once a question is encoded (candidates, then exact scores). The exhaustive answer scores every token
of the index with the softmax over all of them.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError
from s3_retriever.models.base import LanguageModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.retrieval.candidates import find_candidates
from s3_retriever.retrieval.pipeline import Retriever
from s3_retriever.retrieval.presets import preset_named
from s3_retriever.retrieval.query import project_question
from s3_retriever.retrieval.scoring.attention import AttentionScorer
from s3_retriever.retrieval.scoring.base import merge_totals, score_tokens
from s3_retriever.settings import CandidateSettings, Mode, ScanSettings, ScoringSettings
from s3_retriever.storage.description import describe
from s3_retriever.storage.index import Index
from s3_retriever.storage.view import View
from s3_retriever.types import Document, EncodedDocument, TokenRange

__all__ = ["Source", "batches_of", "bench_index", "exhaustive", "scan_source"]

_DOCUMENT_CHARACTERS = 2000
_TOP = 20
_CHUNK = 1 << 16
"""Tokens that the exhaustive answer scores at once."""


@dataclass(frozen=True)
class Source:
    """What a benchmark draws from."""

    coded: tuple[EncodedDocument, ...]
    questions: tuple[tuple[str, Callable[[], AttentionScorer]], ...]
    """Texts and what makes their scorers: a question is encoded once, before any clock runs."""

    @property
    def n_tokens(self) -> int:
        """Tokens that the model has read."""
        return sum(len(c) for c in self.coded)


def scan_source(
    llm: LanguageModel,
    profile: Profile,
    texts: Iterable[str],
    *,
    tokens: int,
    questions: Sequence[str] = (),
    n_questions: int = 50,
) -> Source:
    """Read a corpus in documents of about 2,000 characters until there are ``tokens``.

    Args:
        llm: the resident model.
        profile: with heads.
        texts: the corpus.
        tokens: how many to read; fewer if the corpus ends.
        questions: to be asked; sentences of the corpus are added up to ``n_questions``.
        n_questions: how many to ask.

    Raises:
        InputError: the corpus is empty.
        ProfileError: the profile has no heads.
    """
    coded: list[EncodedDocument] = []
    read = 0
    for item in Scanner(llm, profile, ScanSettings()).scan(_documents(texts, tokens)):
        coded.append(item)
        read += len(item)
        if read >= tokens:
            break
    if not coded:
        raise InputError("the corpus holds no text")
    chance = random.Random(0)  # noqa: S311 - reproducible, not secret
    asked = list(questions)[:n_questions]
    while len(asked) < n_questions:
        drawn = chance.choice(coded)
        asked.extend(drawn.document.text[a:b] for a, b in drawn.bounds.sentences[1:2])
    retriever = Retriever(llm, profile)
    null = ScoringSettings().null_question
    scorers = [
        partial(retriever.attention_scorer, project_question(llm, profile.card, question), null)
        for question in asked
    ]
    return Source(tuple(coded), tuple(zip(asked, scorers, strict=True)))


def bench_index(
    profile: Profile, profile_at: str, source: Source, folder: Path, tokens: int
) -> dict[str, Any]:
    """Build an index of ``tokens`` tokens in ``folder`` and measure it.

    Args:
        profile: with heads.
        profile_at: the name or folder it can be loaded from.
        source: what is drawn from.
        folder: a new one.
        tokens: how many.

    Returns:
        ``tokens``, ``build_tokens_per_s``, ``bytes_per_token`` (by part), ``p50_ms`` and ``p95_ms``
        of a search in mode ``hybrid`` without its reading, ``candidate_recall`` of the exhaustive
        top 20 tokens in mode ``features``, ``features_p50_ms`` of that mode, ``open_s`` and
        ``open_rss_bytes`` of a fresh process (above what it had before), and what was measured.
    """
    index = Index(folder, profile.card)
    started = time.perf_counter()
    with index.writing():
        for batch in batches_of(source.coded, tokens):
            index.commit(batch)
    build_seconds = time.perf_counter() - started
    sizes = describe(folder, index.snapshot)
    _ = index.view.n_documents  # as any first question does
    fast = [_search_ms(index, q, s, "fast") for q, s in (*source.questions[:3], *source.questions)]
    alone = [_search_ms(index, q, s, "features") for q, s in source.questions]
    recalls = [_recall(index.view, q, s()) for q, s in source.questions[:10]]
    opened = _open_elsewhere(folder, profile_at)
    return {
        "tokens": sizes["tokens"],
        "build_tokens_per_s": round(sizes["tokens"] / build_seconds),
        "bytes_per_token": sizes["bytes_per_token"],
        "p50_ms": round(float(np.percentile(fast[3:], 50)), 2),
        "p95_ms": round(float(np.percentile(fast[3:], 95)), 2),
        "features_p50_ms": round(float(np.percentile(alone, 50)), 2),
        "candidate_recall": round(float(np.mean(recalls)), 4),
        **opened,
        "documents": sizes["documents"],
        "segments": sizes["segments"],
        "source_tokens": source.n_tokens,
        "questions": len(source.questions),
        "recall_questions": len(recalls),
        "threads": torch.get_num_threads(),
        "profile": profile.card.name,
    }


def _documents(texts: Iterable[str], tokens: int) -> Iterator[Document]:
    """The corpus in pieces that end where a line does, if one does."""
    budget = 8 * tokens  # characters: more than any prose needs for so many tokens
    for number, text in enumerate(texts):
        start = 0
        while start < len(text) and budget > 0:
            end = text.find("\n", min(start + _DOCUMENT_CHARACTERS, len(text)))
            end = len(text) if end < 0 else min(end, start + 2 * _DOCUMENT_CHARACTERS)
            if piece := text[start:end].strip():
                yield Document(f"{number}-{start}", piece)
                budget -= len(piece)
            start = end


def batches_of(coded: Sequence[EncodedDocument], tokens: int) -> Iterator[list[EncodedDocument]]:
    """Documents drawn with replacement, with ids of their own, in commits like an ``add``'s."""
    chance = random.Random(1)  # noqa: S311
    batch: list[EncodedDocument] = []
    done = waiting = 0
    while done < tokens:
        drawn = chance.choice(coded)
        document = Document(f"{done}", drawn.document.text, {"source": drawn.document.id})
        batch.append(replace(drawn, document=document))
        done += len(drawn)
        waiting += len(drawn)
        if waiting >= ScanSettings().segment_tokens:
            yield batch
            batch, waiting = [], 0
    if batch:
        yield batch


def _search_ms(
    index: Index, question: str, make_scorer: Callable[[], AttentionScorer], mode: Mode
) -> float:
    """One search: candidates by words and features, then the exact score of all their tokens."""
    started = time.perf_counter()
    view = index.view
    scorer = make_scorer()
    score_tokens(scorer, [view.tokens(_candidates(view, question, scorer, mode))])
    return 1000 * (time.perf_counter() - started)


def _candidates(view: View, question: str, scorer: AttentionScorer, mode: Mode) -> list[TokenRange]:
    return find_candidates(
        view,
        view.search,
        view.search.words(question),
        scorer,
        CandidateSettings(),
        None,
        look_up_words=preset_named(mode).look_up_words,
    )


def _recall(view: View, question: str, scorer: AttentionScorer) -> float:
    """Share of the exhaustive top 20 in the candidates; a token as good as the 20th counts."""
    exact = exhaustive(view, scorer)
    best = np.sort(np.concatenate(list(exact.values())))[-_TOP:]
    ranges = _candidates(view, question, scorer, "features")
    candidates = np.concatenate([exact[r.doc_id][r.first : r.last] for r in ranges])
    return min(_TOP, int((candidates >= best[0]).sum())) / len(best)


def exhaustive(view: View, scorer: AttentionScorer) -> dict[str, np.ndarray]:
    """The score of every token ``(n_tokens,)`` by document, with one softmax over the whole index.

    Two passes over pieces that fit into memory: what the softmax needs to know of all of them,
    then every token's share.

    Args:
        view: one state of an index.
        scorer: of the question.
    """
    pieces = list(_pieces(view))
    totals = merge_totals([scorer.partial(view.tokens(piece)).totals for piece in pieces])
    found: dict[str, np.ndarray] = {}
    for piece in pieces:
        batch = view.tokens(piece)
        scores = scorer.finish(scorer.partial(batch), totals)
        found |= {tokens.doc_id: scores[rows] for tokens, rows in batch.parts()}
    return found


def _pieces(view: View) -> Iterator[list[TokenRange]]:
    """All documents, about :data:`_CHUNK` tokens at once."""
    piece: list[TokenRange] = []
    for doc_id in view.document_ids():
        piece.append(view.whole_document(doc_id))
        if sum(map(len, piece)) >= _CHUNK:
            yield piece
            piece = []
    if piece:
        yield piece


_OPEN = """
import json, sys, time
from pathlib import Path
import psutil
from s3_retriever.profiles.cards import find_profile, load_card
from s3_retriever.storage.index import Index
card = load_card(find_profile(sys.argv[2]))
Index(None, card)
before = psutil.Process().memory_info().rss
started = time.perf_counter()
index = Index(Path(sys.argv[1]), card)
seconds = time.perf_counter() - started
rss = psutil.Process().memory_info().rss - before
print(json.dumps({"open_s": round(seconds, 3), "open_rss_bytes": rss}))
"""


def _open_elsewhere(folder: Path, profile: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, str(folder), profile],
        capture_output=True,
        text=True,
        check=True,
    )
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record
