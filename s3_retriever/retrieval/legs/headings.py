"""The headings leg: paragraphs whose heading the question or the best evidence names.

"Who is the mother of the director of X?": the paragraph under the heading "X" names the director,
and the mother stands under the director's name, or in a paragraph that names a heading found
before. Texts that link by names of headings (encyclopedias, manuals, notes) are read along these
links, as Asai et al. (2020, arXiv 1911.10470) follow hyperlinks from paragraph to paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3_retriever.retrieval.context import LegContext, ParagraphRef
from s3_retriever.retrieval.fusion import FusedSpan
from s3_retriever.retrieval.legs.pseudo_relevance_feedback import new_words
from s3_retriever.retrieval.spans import ScoredSpan
from s3_retriever.retrieval.words import bytes_of_counts
from s3_retriever.settings import RetrieveSettings
from s3_retriever.types import SpanRef

__all__ = ["Headings"]

NAMED_BY_EVIDENCE = 1.0
NAMED_BY_QUESTION = 0.5
NAMES_EVIDENCE = 0.5
"""What each way of being linked counts."""
_ASIDE = re.compile(r"\([^()]*\)")
"""What a heading says to tell namesakes apart: "Ed Wood (film)"."""


@dataclass(frozen=True)
class Headings:
    """Sentences of paragraphs that are linked by a heading with the question or the evidence."""

    name: str = "headings"
    after: tuple[str, ...] = ("features", "bm25", "lead_tail", "pseudo_relevance_feedback")

    def active(self, settings: RetrieveSettings) -> bool:
        """Always; it finds nothing in text without headings."""
        return True

    def propose(self, context: LegContext) -> Sequence[ScoredSpan]:
        """Sentences, best first.

        A paragraph scores if its heading stands in the question, and if its heading stands in a
        paragraph of the best evidence or theirs in it, by that evidence's score relative to the
        best. Evidence is the paragraphs of the best spans so far; what can be linked with it is
        looked for among the candidates and in blocks that hold its headings and rare words.
        """
        evidence = _evidence(context)
        headings = {paragraph: _heading(context, paragraph) for paragraph in evidence}
        best = max((item.score for item in evidence.values()), default=1.0)
        read: dict[tuple[SpanRef, str], str] = {}

        def is_named(paragraph: ParagraphRef, heading: str, ref: SpanRef) -> bool:
            """Whether the passage around a sentence holds a paragraph's heading."""
            if not heading:
                return False
            key = ref, context.words.language(paragraph[0])
            if key not in read:
                read[key] = _text(context, *key)
            return heading in read[key]

        found: list[ScoredSpan] = []
        for paragraph, place in _paragraphs(context, evidence, headings).items():
            heading = _heading(context, paragraph)
            linked = 0.0
            for other, item in evidence.items():
                if other == paragraph:
                    continue
                if is_named(paragraph, heading, item.ref):
                    linked = max(linked, NAMED_BY_EVIDENCE * item.score / best)
                elif is_named(other, headings[other], place):
                    linked = max(linked, NAMES_EVIDENCE * item.score / best)
            if heading and heading in _spaced(context.question_words_of(paragraph[0])):
                linked += NAMED_BY_QUESTION
            if linked > 0:
                found += context.passage(place).scored(linked)
        return sorted(found, key=lambda span: -span.score)


def _evidence(context: LegContext) -> dict[ParagraphRef, FusedSpan]:
    """The paragraphs of the best spans, and the best span of each."""
    found: dict[ParagraphRef, FusedSpan] = {}
    for item in context.ranked():
        found.setdefault(context.paragraph_of(item.ref), item)
        if len(found) == context.settings.pseudo_relevance_feedback.evidence:
            break
    return found


def _paragraphs(
    context: LegContext,
    evidence: Mapping[ParagraphRef, FusedSpan],
    headings: Mapping[ParagraphRef, str],
) -> dict[ParagraphRef, SpanRef]:
    """Paragraphs that may be linked, and a sentence of each."""
    words = [word for heading in headings.values() for word in heading.split()]
    context.words.look_up(w for item in evidence.values() for w in context.words.counts(item.ref))
    words += [word for item in evidence.values() for word in new_words(context, item)]
    blocks = context.settings.pseudo_relevance_feedback.blocks
    hits = context.search.search_words(words, blocks, context.filter)
    proposed = context.store.merged([hit.tokens for hit in hits])
    found: dict[ParagraphRef, SpanRef] = {}
    for ref in context.candidate_sentences + context.sentences(proposed):
        found.setdefault(context.paragraph_of(ref), ref)
    return found


def _heading(context: LegContext, paragraph: ParagraphRef) -> str:
    """The words of a heading without what stands in brackets, between spaces; empty if it has none.

    Several words seldom stand together by chance; a single one has to be rare.
    """
    words = context.memory.kept(
        ("heading's words", paragraph),
        lambda: context.words.of(_ASIDE.sub(" ", context.headings.of(*paragraph)), paragraph[0]),
        bytes_of_counts,
    )
    most = context.settings.pseudo_relevance_feedback.max_df * context.words.n_blocks
    if len(words) == 1 and context.words.document_frequency(words[0]) > max(2.0, most):
        return ""
    return _spaced(words) if words else ""


def _text(context: LegContext, ref: SpanRef, language: str) -> str:
    """The words of the passage around a sentence, made as those of a language are."""
    passage = context.passage(ref)
    return context.memory.kept(
        ("words", passage.ref, language),
        lambda: _spaced(context.search.words(context.store.text(passage.ref), language)),
        len,
    )


def _spaced(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "
