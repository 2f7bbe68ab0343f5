"""The whole of it on a small random model: everything is real but the quality of what is found."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.training.adoption import adopt as adoption
from s3_retriever.training.adoption.adopt import Adoption, adopt
from s3_retriever.training.adoption.material import Material, from_text
from s3_retriever.training.adoption.report import recommended
from s3_retriever.types import Document
from tests.tiny import tiny_llm


def samples() -> Material:
    """Questions made of the shipped sample documents."""
    folder = Path(str(resources.files("s3_retriever"))) / "data" / "samples"
    return from_text([p.read_text("utf-8") for p in sorted(folder.glob("*.txt"))], seed=0)


@pytest.fixture(scope="module")
def material() -> Material:
    return samples().first(6, 4)


def run(llm: TransformersModel, material: Material, out: Path, **others: Any) -> Adoption:
    return adopt(llm, material, out, minutes=0.05, name="tiny", command="adopt", **others)


def test_from_a_model_to_a_profile_in_two_runs(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm, out, work = tiny_llm(max_position_embeddings=2048), tmp_path / "out", tmp_path / "out.work"

    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adoption, "report_card", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(llm, material, out)
    kept = [work / "made" / "profile.json", *(work / "heads").iterdir()]
    before = [path.stat().st_mtime_ns for path in kept]

    stages: dict[str, int] = {}
    plans: list[Any] = []

    def seen(stage: str, done: int, total: int) -> None:
        stages[stage] = done
        assert [path.stat().st_mtime_ns for path in kept] == before  # nothing is made again

    found = run(llm, material, out, on_plan=plans.append, on_progress=seen)
    (plan,) = plans
    assert stages["ranking heads"] == plan.n_learn
    assert stages["report"] == plan.n_report == found.report["n"]
    assert not work.exists()

    profile = Profile.load(out)
    card = profile.card
    assert card == found.profile.card
    assert card.heads
    assert len(card.hookpoints) <= 2
    assert max(card.layers) == next(row["layer"] for row in found.layers if row["taken"])
    assert max(card.layers) < 2  # the last third of the layers is not looked at
    assert card.retrieve is not None
    assert set(card.presets) == {"cpu"}
    report = card.report
    assert report["bytes_a_token"] == 3 * 32 * len(card.hookpoints)
    assert set(report["modes"]) == {"bm25", "features", "fast", "hybrid"}
    assert set(report["peers"]) == {"bm25", "dense", "dense+bm25"}
    assert all(0 <= r <= 1 for m in report["modes"].values() for r in m["evidence_recall"].values())

    engine = Engine(llm, profile)
    engine.add([Document("d", "The harbour froze in winter. Boats lay in the ice.")])
    assert engine.retrieve("When did the harbour freeze?", mode="fast")
    with pytest.raises(InputError, match="exists"):
        run(llm, material, out)


@pytest.mark.parametrize(
    ("gain", "milliseconds", "mode", "why"),
    [
        (0.1, 500.0, "hybrid", r"its reading finds \+0.100 \(\+0.050 to \+0.150\): 500 ms"),
        (-0.01, 500.0, "hybrid", "its reading finds"),
        (-0.1, 500.0, "fast", "finds less"),
        (0.1, 3000.0, "fast", "takes 3000 ms a question against 50 ms"),
    ],
)
def test_the_mode_that_is_recommended(
    gain: float, milliseconds: float, mode: str, why: str
) -> None:
    report = {
        "modes": {"fast": {"milliseconds": 50.0}, "hybrid": {"milliseconds": milliseconds}},
        "hybrid_less_fast": {"mean": gain, "low": gain - 0.05, "high": gain + 0.05},
    }
    assert recommended(report)[0] == mode
    assert re.search(why, recommended(report)[1])


def test_work_of_another_command_is_not_taken_up(material: Material, tmp_path: Path) -> None:
    (tmp_path / "out.work").mkdir()
    (tmp_path / "out.work" / "command.txt").write_text("adopt another")
    with pytest.raises(InputError, match="another command"):
        run(tiny_llm(), material, tmp_path / "out")


@pytest.mark.parametrize("layers", [0, 99])
def test_layers_that_are_not_there_are_refused(
    layers: int, material: Material, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="layers must be 1 to"):
        run(tiny_llm(), material, tmp_path / "out", layers=layers)
    assert not (tmp_path / "out.work").exists()


def test_only_the_layers_asked_for_are_looked_at(material: Material, tmp_path: Path) -> None:
    tables: list[list[dict[str, Any]]] = []

    def enough(rows: list[dict[str, Any]]) -> None:
        tables.append(rows)
        raise KeyboardInterrupt  # what follows is as ever

    llm = tiny_llm(max_position_embeddings=2048)
    with pytest.raises(KeyboardInterrupt):
        run(llm, material, tmp_path / "out", layers=1, on_layers=enough)
    (rows,) = tables
    assert [row["layer"] for row in rows] == [0]
