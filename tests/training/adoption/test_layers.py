"""Which heads are chosen, and how far a scan reads for them."""

from __future__ import annotations

import numpy as np

from s3_retriever.training.adoption.layers import HeadChoice, HeadRanking
from s3_retriever.training.adoption.ranking import HeadQuestion

N_LAYERS, N_HEADS, N_PASSAGES, LENGTH = 4, 4, 5, 20
GOOD = {(1, 0): 0.9, (1, 1): 0.9, (3, 2): 1.0}
"""Heads that find the gold passage, and for what share of the questions."""


def questions(
    n: int, good: dict[tuple[int, int], float] = GOOD, *, spike: bool = False, null: bool = False
) -> list[HeadQuestion]:
    """Noise, and a bump over the gold passage by some heads.

    Args:
        n: how many.
        good: heads and how often they find it.
        spike: the bump is one token high above small ones, which another passage has more of.
        null: what the question attends to is hidden under what every question does.
    """
    rng = np.random.default_rng(0)
    made = []
    for number in range(n):
        gold = int(rng.integers(N_PASSAGES))
        asked = rng.normal(0, 0.1, (N_LAYERS, N_HEADS, N_PASSAGES * LENGTH))
        for (layer, head), share in good.items():
            hit = gold if number < share * n else (gold + 1) % N_PASSAGES
            at = asked[layer, head].reshape(N_PASSAGES, LENGTH)
            if spike:
                at[hit, 3] += 5
                at[(hit + 1) % N_PASSAGES, :8] += 2
            else:
                at[hit] += 1
        always = rng.normal(0, 5, asked.shape) if null else np.zeros_like(asked)
        bounds = [(LENGTH * p, LENGTH * (p + 1)) for p in range(N_PASSAGES)]
        made.append(
            HeadQuestion(
                (asked + always).astype(np.float16),
                always.astype(np.float16),
                np.array(bounds),
                np.arange(N_PASSAGES) == gold,
            )
        )
    return made


def test_a_later_layer_has_to_be_worth_its_time() -> None:
    table = HeadRanking(questions(60), n_kv_heads=2).table()
    assert table.precision.shape == (N_LAYERS, 60)
    assert table.precision[0].mean() < 0.5
    assert table.precision[1].mean() > 0.8
    assert table.last == 3  # twice the layers of 1, and ten points more
    assert (3, 2) in table.choice.heads
    nearly = GOOD | {(3, 2): 0.92}
    assert HeadRanking(questions(60, nearly), n_kv_heads=2).table().last == 1


def test_rows_are_layers_that_find_more() -> None:
    table = HeadRanking(questions(60), n_kv_heads=2).table()
    rows = table.rows({n: 1000.0 / (n + 1) for n in range(N_LAYERS)})
    assert [row["layer"] for row in rows] == [0, 1, 3]
    assert [row["taken"] for row in rows] == [False, False, True]
    assert rows[1]["tokens_per_second"] == 500


def test_what_makes_a_passage_of_tokens_is_chosen_too() -> None:
    peaks = HeadRanking(questions(40, spike=True), n_kv_heads=2).choose(range(40), 3)
    assert peaks.statistic.best_tokens <= 2
    hidden = HeadRanking(questions(40, null=True), n_kv_heads=2).choose(range(40), 3)
    assert hidden.statistic.less_null
    plain = HeadRanking(questions(40), n_kv_heads=2).choose(range(40), 3)
    assert (3, 2) in plain.heads


def test_no_more_than_two_key_heads() -> None:
    good = {(layer, 2 * layer % N_HEADS): 0.8 for layer in range(N_LAYERS)}
    chosen = HeadRanking(questions(40, good), n_kv_heads=2).choose(range(40), 3)
    assert isinstance(chosen, HeadChoice)
    assert len({(layer, head // 2) for layer, head in chosen.heads}) <= 2


def test_among_published_heads_only() -> None:
    ranking = HeadRanking(questions(40), n_kv_heads=2, among=[(1, 1), (2, 0)])
    table = ranking.table()
    assert set(table.choice.heads) <= {(1, 1), (2, 0)}
    assert table.last == 1
    assert (table.precision[0] == 0).all()  # nothing to choose from yet
