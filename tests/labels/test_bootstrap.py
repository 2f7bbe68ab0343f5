"""The interval holds the mean and follows the seed."""

from __future__ import annotations

from s3_retriever.labels.bootstrap import bootstrap


def test_bootstrap_interval_holds_the_mean() -> None:
    found = bootstrap([0.0, 1.0] * 50)
    assert found["mean"] == 0.5
    assert 0.38 < found["low"] < 0.45
    assert 0.55 < found["high"] < 0.62
    assert bootstrap([0.0, 1.0] * 50) == found
    assert bootstrap(range(50), seed=1) != bootstrap(range(50))
