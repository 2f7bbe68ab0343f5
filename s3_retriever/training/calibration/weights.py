"""Which heads, and how much each counts: equal weights, or weights learned from gold passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from s3_retriever.training.calibration.precision import ScoredQuestion

__all__ = ["best_heads", "cross_validate", "equal_weights", "learned_weights", "logistic"]


def best_heads(questions: Sequence[ScoredQuestion], n: int) -> np.ndarray:
    """The numbers of the ``n`` heads with the best mean R-precision, best first."""
    mean = np.mean([question.alone for question in questions], axis=0)
    return np.argsort(-mean, kind="stable")[:n]


def equal_weights(n_heads: int, chosen: Sequence[int] | np.ndarray) -> np.ndarray:
    """``(n_heads,)``: 1 for each of ``chosen``, 0 for the others."""
    weights = np.zeros(n_heads)
    weights[chosen] = 1
    return weights


def learned_weights(questions: Sequence[ScoredQuestion], chosen: np.ndarray) -> np.ndarray:
    """Weights by logistic regression of gold on the heads' scores of passages.

    Scores are standardised within a question, whose passages compete with each other only. Heads
    that would count against a passage are left out, the worst first, and the others fitted again:
    what several heads share should not be subtracted for one.

    Args:
        questions: to learn from.
        chosen: the numbers of the heads that may count.

    Returns:
        ``(n_heads,)``, none below 0, those that count with a mean of 1; for scores as they are,
        not standardised.
    """
    scores = [question.passages[chosen] for question in questions]
    spread = np.mean([s.std(axis=1) for s in scores], axis=0)
    x = np.concatenate([_standardised(s).T for s in scores])
    y = np.concatenate([question.gold for question in questions])
    kept = np.arange(len(chosen))
    fitted, _ = logistic(x, y)
    while fitted.min() <= 0 and len(kept) > 1:
        kept = np.delete(kept, fitted.argmin())
        fitted, _ = logistic(x[:, kept], y)
    found = fitted / spread[kept] if len(kept) > 1 else np.ones(1)
    weights = np.zeros(len(questions[0].tokens))
    weights[chosen[kept]] = found / found.mean()
    return weights


def logistic(x: np.ndarray, y: np.ndarray, *, l2: float = 1.0) -> tuple[np.ndarray, float]:
    """Logistic regression with an L2 penalty on the weights, by Newton's method.

    It minimises the summed log loss and ``l2 / 2`` times the weights' squared length.

    Args:
        x: ``(n, d)`` features.
        y: ``(n,)`` of 0 and 1, both of which occur.
        l2: above 0, so that separable data have finite weights.

    Returns:
        ``(d,)`` weights and the bias.

    Example:
        >>> weights, bias = logistic(np.array([[-1.0], [1.0]]), np.array([0, 1]))
        >>> round(float(weights[0]), 3), round(bias, 3)
        (0.675, 0.0)
    """
    design = np.column_stack([x, np.ones(len(x))])
    penalty = np.append(np.full(x.shape[1], l2), 0.0)
    signs = np.where(y, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> float:
        fit = np.logaddexp(0, -signs * (design @ parameters)).sum()
        return float(fit + (penalty * parameters**2).sum() / 2)

    parameters = np.zeros(design.shape[1])
    for _ in range(100):
        p = (1 + np.tanh(design @ parameters / 2)) / 2
        gradient = design.T @ (p - y) + penalty * parameters
        if np.abs(gradient).max() < 1e-8:
            break
        curvature = (design.T * (p * (1 - p))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while loss(parameters - step) > loss(parameters):  # Newton's step may go too far
            step /= 2
        parameters -= step
    return parameters[:-1], float(parameters[-1])


def cross_validate(
    questions: Sequence[ScoredQuestion], n_heads: int, seed: int
) -> Mapping[str, np.ndarray]:
    """R-precision on each half of the questions, of what was chosen and learned on the other.

    Args:
        questions: at least two.
        n_heads: most heads to choose.
        seed: of the halves.

    Returns:
        ``(n_questions,)`` for each of ``best_head``, ``equal`` and ``learned``.
    """
    n, available = len(questions), len(questions[0].tokens)
    order = np.random.default_rng(seed).permutation(n)
    halves = [order[: n // 2], order[n // 2 :]]
    found = {name: np.zeros(n) for name in ("best_head", "equal", "learned")}
    for seen, unseen in (halves, reversed(halves)):
        seen_questions = [questions[i] for i in seen]
        chosen = best_heads(seen_questions, n_heads)
        weights = {
            "best_head": equal_weights(available, chosen[:1]),
            "equal": equal_weights(available, chosen),
            "learned": learned_weights(seen_questions, chosen),
        }
        for name, vector in weights.items():
            found[name][unseen] = [questions[i].together(vector) for i in unseen]
    return found


def _standardised(scores: np.ndarray) -> np.ndarray:
    """Each row at mean 0 and standard deviation 1; a row of one value at 0."""
    deviation = scores.std(axis=1, keepdims=True)
    centred: np.ndarray = scores - scores.mean(axis=1, keepdims=True)
    return centred / np.where(deviation > 0, deviation, 1)
