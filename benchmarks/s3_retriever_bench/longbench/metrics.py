"""LongBench's scores: token F1 for answers, Rouge-L for summaries.

Source: LongBench (arXiv 2308.14508), ``qa_f1_score``, ``rouge_score`` and ``scorer`` of its
evaluation. Its post-processing changes answers of other tasks and of models that are not here;
what a model wrote for these nine is scored as it is.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from s3_retriever.errors import InputError
from s3_retriever_bench.longbench.tasks import Metric

__all__ = ["qa_f1", "require_rouge", "rouge_l", "score"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(metric: Metric, prediction: str, answers: Sequence[str]) -> float:
    """The best score over the gold answers, between 0 and 1; 0 if there are none.

    Example:
        >>> score("f1", "In the house.", ["a garden", "The House"])
        0.666...
    """
    of = qa_f1 if metric == "f1" else rouge_l
    return max((of(prediction, answer) for answer in answers), default=0.0)


def qa_f1(prediction: str, answer: str) -> float:
    """F1 of the bags of words, without case, punctuation, articles and extra white space.

    Example:
        >>> qa_f1("The cat sat, the cat slept.", "a cat sat")  # 2 of 4, 2 of 2
        0.666...
    """
    found, gold = _normalised(prediction), _normalised(answer)
    shared = sum((Counter(found) & Counter(gold)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(found), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def rouge_l(prediction: str, answer: str) -> float:
    """F of Rouge-L over the sentences of a summary, as the package ``rouge`` computes it.

    That package (not ``rouge-score``) parts sentences at every full stop and counts different
    words. It fails on an empty text and on endless sentences; LongBench counts 0 then.

    Raises:
        InputError: rouge is not installed.

    Example:
        >>> round(rouge_l("the cat sat. the dog ran.", "the cat ran. a dog sat."), 4)
        0.9091
    """
    require_rouge()
    from rouge import Rouge

    try:
        scores = Rouge(metrics=["rouge-l"]).get_scores([prediction], [answer], avg=True)
    except (ValueError, RecursionError):
        return 0.0
    return float(scores["rouge-l"]["f"])


def require_rouge() -> None:
    """Say early that rouge is missing.

    Raises:
        InputError: it is; the message names the extra to install.
    """
    try:
        import rouge  # noqa: F401
    except ImportError as e:
        raise InputError("summaries need rouge: pip install s3-retriever-bench") from e


def _normalised(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
