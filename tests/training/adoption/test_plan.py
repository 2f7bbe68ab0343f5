"""What fits the time."""

from __future__ import annotations

from pathlib import Path

from s3_retriever.training.adoption.material import Material
from s3_retriever.training.adoption.plan import Plan, Speed, keep_speed, kept_speed
from tests.training.adoption.test_material import from_labels, records

SPEED = Speed(layer_seconds=1e-5, fixed_seconds=1e-4, question_seconds=1.0, step_seconds=0.1)


def material(tmp_path: Path, n: int = 400) -> Material:
    return from_labels(records(tmp_path / "q.jsonl", n), seed=0)


def test_more_time_means_more_of_everything(tmp_path: Path) -> None:
    some = material(tmp_path)
    short, long = (Plan.of(SPEED, minutes, some, n_layers=30, n_ranked=20) for minutes in (2, 6))
    assert (short.n_learn, long.n_learn) == (36, 108)
    assert short.n_fit < long.n_fit <= long.n_learn
    assert short.steps < long.steps
    assert short.seconds < long.seconds <= 6 * 60


def test_what_there_is_bounds_the_plan(tmp_path: Path) -> None:
    plan = Plan.of(SPEED, 60, material(tmp_path, 30), n_layers=30, n_ranked=20)
    assert (plan.n_learn, plan.n_report) == (15, 15)
    assert plan.steps == 3000


def test_a_scan_that_ends_early_is_faster() -> None:
    assert SPEED.tokens_per_second(4) == 1 / (1e-4 + 5e-5)


def test_the_speed_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "speed.json"
    assert kept_speed(file) is None
    keep_speed(file, SPEED)
    assert kept_speed(file) == SPEED


def test_wider_keys_get_more_latents(tmp_path: Path) -> None:
    plan = Plan.of(SPEED, 6, material(tmp_path), n_layers=30, n_ranked=20)
    settings = [plan.autoencoders(dim, seed=3) for dim in (64, 128, 96)]
    assert [s.k for s in settings] == [16, 32, 32]
    assert {(s.latents, s.seed, s.steps) for s in settings} == {(4096, 3, plan.steps)}
