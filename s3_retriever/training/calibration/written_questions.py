"""Questions that the model itself writes for plain text: training material without labels.

Source: InPars (arXiv 2202.05144) and Promptagator (arXiv 2209.11755): a few examples in the prompt
make a small model write questions for a passage.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import islice

from s3_retriever.arguments import listed
from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection
from s3_retriever.models.base import LanguageModel
from s3_retriever.training.calibration.cloze import PARAGRAPHS, context_collection, paragraphs_of

__all__ = ["written_questions"]

MAX_NEW_TOKENS = 32

EXAMPLES = (
    (
        "Harrow Bridge is a stone bridge over the Lune, built in 1741 by Thomas Ashdown after a "
        "flood had carried the old ferry away.",
        "Who built the bridge that replaced the ferry over the Lune?",
    ),
    (
        "The quoll hunts at night and sleeps in a hollow log by day. It eats beetles, frogs and "
        "small birds.",
        "Which animals does the quoll eat?",
    ),
    (
        "Marta Okafor won the Delling Prize in 1998 for the novel Salt Road, which was filmed by "
        "her brother four years later.",
        "In which year did the author of Salt Road win the Delling Prize?",
    ),
)
"""Made up for this prompt: a question names what it is about, so that it can be looked for."""


def written_questions(
    llm: LanguageModel,
    texts: Iterable[str],
    *,
    limit: int | None,
    seed: int,
    on_question: Callable[[int, int], None] = lambda done, total: None,
) -> list[Collection]:
    """Contexts of ten consecutive paragraphs and a question that the model wrote for one.

    Args:
        llm: the resident model.
        texts: plain texts; those that come together should stand together.
        limit: at most so many questions; ``None`` makes one for every paragraph.
        seed: of the draw of paragraphs and of their places in the context.
        on_question: called with the paragraphs done and their total.

    Returns:
        One collection a question, of one document, as
        :func:`~s3_retriever.training.calibration.cloze.inverse_cloze` makes them.

    Raises:
        InputError: there are fewer than ten paragraphs of at least three sentences.
    """
    paragraphs = [paragraph for text in listed(texts, "texts") for paragraph in paragraphs_of(text)]
    n = len(paragraphs)
    if n < PARAGRAPHS:
        raise InputError(
            f"paragraphs of at least three sentences in the text: {n}; at least {PARAGRAPHS} are "
            "needed, and hundreds to learn from: give more text"
        )
    rng = random.Random(seed)  # noqa: S311  (no secret)
    drawn = list(islice(rng.sample(range(n), n), limit))
    found = []
    for done, gold in enumerate(drawn, start=1):
        first = rng.randint(max(0, gold - PARAGRAPHS + 1), min(gold, n - PARAGRAPHS))
        question = _write(llm, paragraphs[gold])
        if question:
            context = paragraphs[first : first + PARAGRAPHS]
            found.append(context_collection(f"written {done}", question, context, gold - first))
        on_question(done, len(drawn))
    return found


def _write(llm: LanguageModel, passage: str) -> str:
    """A question for a passage; empty if the model wrote none."""
    shots = [f"Passage: {text}\nQuestion: {question}\n\n" for text, question in EXAMPLES]
    prompt = "".join(shots) + f"Passage: {passage}\nQuestion:"
    ids = llm.prefix_ids(prompt, bos=llm.adds_bos)
    written = ""
    for piece in llm.stream(ids.tolist(), max_new_tokens=MAX_NEW_TOKENS):
        written += piece
        if "?" in written or "\n" in written.strip():
            break
    question, mark, _ = written.strip().partition("?")
    return question + mark if mark and "\n" not in question else ""
