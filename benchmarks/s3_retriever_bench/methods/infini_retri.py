"""InfiniRetri: the document in windows, the best sentences carried along by the last layer.

Source: Infinite Retrieval: Attention Enhanced LLMs in Long-Context Processing (arXiv 2502.12962).

As published (paper and the defaults of the authors' package, infini-retri 0.0.3): windows of 1,024
tokens of whole sentences, put behind the sentences kept so far and before the question in the
package's prompt; the last layer's attention from the question's tokens to the context's, summed
over heads and question tokens, smoothed by a box of 8 tokens; the 300 best tokens, and the whole
sentences that hold them are kept as text for the next window.

Chosen here, because the authors' package writes an answer and tells neither which sentences it kept
nor their order: sentences are those of this library's other methods; those kept after the last
window come first, by their best smoothed token in it, then the dropped ones by their best in the
window that dropped them. At most half the model's window is carried along. The package's further
weighting of question tokens by their attention to each other is not in the paper and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.base import Tokenizing
from s3_retriever.retrieval.density import smooth
from s3_retriever_bench.methods.attention import attention_weights
from s3_retriever_bench.methods.method import MethodUnavailable, own_weights
from s3_retriever_bench.methods.units import units

__all__ = ["InfiniRetri"]

WINDOW_TOKENS = 1024
TOP_TOKENS = 300
PHRASE_TOKENS = 8
MOST_TOKENS = 50_000
BEFORE = "Read the book and answer the question. Be very concise in your answer.\n\n"
BETWEEN = "\n\nQuestion:\n\n"
AFTER = "\n\nAnswer:"


@dataclass(frozen=True)
class _Sentence:
    place: Place
    text: str
    """With the white space up to the next sentence."""
    n_tokens: int


class InfiniRetri:
    """Reads the whole collection, one document after the other, for each question."""

    note = (
        f"windows of {WINDOW_TOKENS} tokens, top {TOP_TOKENS}; reads everything for each question"
    )

    def __init__(self, engine: Engine) -> None:
        """Use the engine's model.

        Raises:
            MethodUnavailable: the model is not in this process.
        """
        self._llm = own_weights(engine)
        self._windows: list[list[_Sentence]] = []

    def read(self, collection: Collection) -> None:
        """See :class:`~s3_retriever_bench.methods.method.Method`.

        Raises:
            MethodUnavailable: the collection has more than 50,000 tokens.
        """
        sentences = _sentences(collection, self._llm)
        n_tokens = sum(sentence.n_tokens for sentence in sentences)
        if n_tokens > MOST_TOKENS:
            raise MethodUnavailable(
                f"it reads the whole collection again for each question: {n_tokens:,} tokens "
                f"here, more than the {MOST_TOKENS:,} that it is run on"
            )
        self._windows = list(_windows(sentences, min(WINDOW_TOKENS, self._llm.window // 4)))

    def rank(self, question: str) -> list[Place]:
        """See :class:`~s3_retriever_bench.methods.method.Method`."""
        kept: dict[_Sentence, float] = {}
        dropped: dict[_Sentence, float] = {}
        for window in self._windows:
            shown = [*kept, *window]
            scores = self._token_scores(question, shown)
            best = dict(zip(shown, [s.max(initial=0.0) for s in scores], strict=True))
            kept = self._kept(shown, scores, best)
            dropped |= {s: score for s, score in best.items() if s not in kept}
        by_score = [sorted(group, key=lambda s: -group[s]) for group in (kept, dropped)]
        return [sentence.place for group in by_score for sentence in group]

    def _token_scores(self, question: str, shown: Sequence[_Sentence]) -> list[np.ndarray]:
        """Smoothed attention from the question to the tokens of each sentence."""
        context = "".join(sentence.text for sentence in shown).rstrip()
        content = BEFORE + context + BETWEEN + question + AFTER
        tokens = self._llm.tokenize(content)
        ids = self._llm.chat_ids([{"role": "user", "content": content}])
        n = len(tokens)
        first = next(i for i in range(len(ids)) if ids[i : i + n] == tokens.ids.tolist())

        last_characters = tokens.ends.astype(int) - 1
        ends = len(BEFORE) + np.array([0, len(context), len(context) + len(BETWEEN + question)])
        in_context = (last_characters >= ends[0]) & (last_characters < ends[1])
        in_question = (last_characters >= ends[1] + len(BETWEEN)) & (last_characters < ends[2])
        rows = first + np.flatnonzero(in_question)
        last = self._llm.layout.n_layers - 1
        weights = attention_weights(self._llm, ids, rows.tolist(), [last])[last]
        attention = weights.sum(axis=(0, 1))
        smoothed = smooth(attention[first + np.flatnonzero(in_context)], PHRASE_TOKENS)

        # a token belongs to the sentence of its last character: in many vocabularies it begins
        # with the space before the word
        starts = len(BEFORE) + np.cumsum([0, *(len(s.text) for s in shown)])[:-1]
        owner = np.searchsorted(starts, last_characters[in_context], side="right") - 1
        return [smoothed[owner == number] for number in range(len(shown))]

    def _kept(
        self, shown: Sequence[_Sentence], scores: Sequence[np.ndarray], best: dict[_Sentence, float]
    ) -> dict[_Sentence, float]:
        """Sentences that hold one of the best tokens, in the text's order, as many as fit."""
        everything = np.sort(np.concatenate(scores))[::-1]
        threshold = everything[min(TOP_TOKENS, len(everything)) - 1]
        left = self._llm.window // 2
        taken = set()
        for sentence in sorted(shown, key=lambda s: -best[s]):
            left -= sentence.n_tokens
            if best[sentence] >= threshold and left >= 0:
                taken.add(sentence)
        return {sentence: best[sentence] for sentence in shown if sentence in taken}


def _sentences(collection: Collection, llm: Tokenizing) -> list[_Sentence]:
    """Every sentence with the text up to the next one; an empty line ends a document."""
    places = units(collection, "sentences", llm)
    found = []
    for place, after in zip(places, [*places[1:], None], strict=True):
        if after is not None and after.doc_id == place.doc_id:
            text = collection.texts[place.doc_id][place.start : after.start]
        else:
            text = collection.text(place) + "\n\n"
        found.append(_Sentence(place, text, llm.count_tokens(text)))
    return found


def _windows(sentences: Sequence[_Sentence], most: int) -> Iterator[list[_Sentence]]:
    """Runs of whole sentences of at most ``most`` tokens; a longer sentence is one alone."""
    window: list[_Sentence] = []
    size = 0
    for sentence in sentences:
        if window and size + sentence.n_tokens > most:
            yield window
            window, size = [], 0
        window.append(sentence)
        size += sentence.n_tokens
    if window:
        yield window
