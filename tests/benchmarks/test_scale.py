"""What many tokens need, and the simulation of questions to all shards, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from s3_retriever_bench.capacity import MEASURED, needs
from s3_retriever_bench.cli.app import app
from s3_retriever_bench.fan_out import FanOut, hedged, shard_sizes, simulate, spread_of
from typer.testing import CliRunner

from s3_retriever.errors import InputError

ROUND = replace(
    MEASURED,
    scan_tokens_per_s=1000,
    commit_tokens_per_s=1e5,
    codes_bytes=100,
    search_bytes=20,
    memory_bytes=5,
    measured_tokens=1e7,
    p50_ms=20,
    p95_ms=30,
    tenth_p50_ms=10,  # a tenfold index takes twice as long
    full_scan_s=0.2,
    blocks=50,
)


def test_needs_of_a_billion() -> None:
    found = needs(1e9, 1e8, measured=ROUND)
    assert found.shards == 10
    assert found.scan_core_hours == pytest.approx(2e6 / 3600)
    assert found.commit_hours == pytest.approx(1000 / 3600)
    assert found.disk_bytes == pytest.approx(240e9)
    assert found.memory_bytes == pytest.approx(10e9)
    assert (found.p50_ms, found.p95_ms) == (pytest.approx(40), pytest.approx(60))
    assert found.question_core_s == pytest.approx(0.4)
    assert found.question_bytes == pytest.approx(10 * 50 * 64 * 100)
    assert found.full_scan_core_s == pytest.approx(200)


def test_a_part_of_a_shard_is_one() -> None:
    assert needs(1e7, 1e8, replicas=1, measured=ROUND).shards == 1
    assert needs(1e7, 1e8, replicas=1, measured=ROUND).p50_ms == pytest.approx(20)
    assert needs(1.01e8, 1e8, measured=ROUND).shards == 2
    with pytest.raises(InputError):
        needs(0, 1e8)


def test_a_log_normal_time_has_the_percentiles_given() -> None:
    times = 10 * np.random.default_rng(0).lognormal(sigma=spread_of(10, 25), size=400_000)
    assert np.percentile(times, [50, 95]) == pytest.approx([10, 25], rel=0.01)
    for p50, p95 in ((0, 1), (2, 1), (1, float("inf")), (float("nan"), 1)):
        with pytest.raises(InputError):
            spread_of(p50, p95)


def test_sizes_of_shards() -> None:
    chance = np.random.default_rng(0)
    assert shard_sizes(chance, 1, 10, 1.0).tolist() == [1.0]
    sizes = shard_sizes(chance, 400, 1000, 0.0)  # equal lengths: the number is Poisson's, nearly
    assert sizes.mean() == pytest.approx(1)
    assert sizes.std() == pytest.approx(1000**-0.5, rel=0.1)
    skewed = shard_sizes(chance, 400, 1000, 1.0)  # E[length^2] / E[length]^2 is e
    assert skewed.std() == pytest.approx((np.e / 1000) ** 0.5, rel=0.15)


def test_a_hedged_request_takes_the_sooner_answer() -> None:
    first, second = np.array([[10.0, 50.0], [20.0, 21.0]]), np.array([[1.0, 5.0], [1.0, 90.0]])
    times, share = hedged(first, second, after=20.0)
    assert times.tolist() == [[10.0, 25.0], [20.0, 21.0]]
    assert share == 0.5


CONSTANT = FanOut(p50_ms=10, p95_ms=10, growth=0, slow=5, round_trips=2, round_trip_ms=0.5)


def test_one_slow_replica_and_times_that_do_not_vary() -> None:
    """Half of the questions meet it: 50 ms and two round trips; hedged, 10 and 10 more."""
    plain = simulate(CONSTANT, 4, hedge=False)
    assert (plain.p95, plain.p99, plain.extra_load) == (51, 51, 0)
    quick = simulate(CONSTANT, 4, hedge=True)
    assert (quick.p95, quick.p99) == (21, 21)
    assert quick.extra_load == pytest.approx(0.5 / 4, rel=0.05)
    assert simulate(replace(CONSTANT, slow=1), 4, hedge=True) == replace(
        plain, p50=11, p95=11, p99=11
    )


def test_the_slowest_of_many_decides() -> None:
    """The median of the largest of n is the quantile of 0.5^(1/n)."""
    setup = FanOut(p50_ms=20, p95_ms=30, growth=0, round_trips=0)
    z = NormalDist().inv_cdf
    for shards in (1, 10, 100):
        expected = 20 * np.exp(spread_of(20, 30) * z(0.5 ** (1 / shards)))
        found = simulate(setup, shards, hedge=False, questions=40_000)
        assert found.p50 == pytest.approx(expected, rel=0.01)


def test_a_hedge_costs_a_twentieth_and_shortens_the_tail() -> None:
    setup = FanOut(p50_ms=20, p95_ms=30, growth=0)
    plain, quick = (simulate(setup, 100, hedge=hedge) for hedge in (False, True))
    assert quick.extra_load == pytest.approx(0.05, abs=0.003)
    assert quick.p99 < plain.p99


def test_a_seed_gives_the_same_again() -> None:
    setup = FanOut(p50_ms=20, p95_ms=30, slow=3)
    once, again, other = (simulate(setup, 8, hedge=True, seed=s) for s in (1, 1, 2))
    assert once == again != other
    with pytest.raises(InputError):
        simulate(setup, 0, hedge=True)


def test_the_command() -> None:
    asked = ["scale", "--shards", "1,3", "--questions", "100", "--tokens", "10,2000"]
    page = CliRunner().invoke(app, asked)
    assert page.exit_code == 0, page.output
    assert "| shards | 1 | 20 |" in page.stdout
    record = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert [n["shards"] for n in record["needs"]] == [1, 20]
    assert len(record["simulated"]) == 2 * 2 * 2
