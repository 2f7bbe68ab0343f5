"""The commands that keep an index; only ``migrate`` may load a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever.engine import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from tests.cli.conftest import FILES, Run, Setup
from tests.tiny import write_profile


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(TransformersModel, "load", load)


@pytest.fixture
def place(own_index: Path, setup: Setup) -> list[object]:
    """The options that say which index."""
    return ["--index", own_index, "--profile", setup.profile]


def documents(run: Run, folder: Path) -> int:
    record = json.loads(run("info", "--index", folder, "--json").stdout)
    return int(record["documents"])


@pytest.mark.usefixtures("no_model")
class TestWithoutTheModel:
    def test_delete_by_id(self, run: Run, own_index: Path, place: list[object]) -> None:
        result = run("delete", "bread.md", "nobody", *place)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("1 documents deleted")
        assert documents(run, own_index) == len(FILES) - 1

    def test_delete_by_filter(self, run: Run, own_index: Path, place: list[object]) -> None:
        assert run("delete", *place, "--filter", '{"title": {"$exists": true}}').exit_code == 0
        assert documents(run, own_index) < len(FILES)

    @pytest.mark.parametrize("what", [[], ["bread.md", "--filter", "{}"], ["--filter", "{}"]])
    def test_delete_what(
        self, run: Run, own_index: Path, place: list[object], what: list[str]
    ) -> None:
        assert run("delete", *what, *place).exit_code == 2
        assert documents(run, own_index) == len(FILES)

    def test_metadata(self, run: Run, own_index: Path, place: list[object]) -> None:
        assert run("set-metadata", "bread.md", '{"kind": "food"}', *place).exit_code == 0
        assert run("delete", *place, "--filter", '{"kind": "food"}').stdout.startswith("1 ")
        for wrong in (["nobody", "{}"], ["sky/comet.html", "{"], ["sky/comet.html", "3"]):
            assert run("set-metadata", *wrong, *place).exit_code == 2

    def test_compact(self, run: Run, own_index: Path, place: list[object]) -> None:
        run("delete", "bread.md", *place)
        result = run("compact", *place)
        assert result.exit_code == 0, result.output
        record = json.loads(run("info", "--index", own_index, "--json").stdout)
        assert record["deleted_tokens"] == 0
        assert run("doctor", *place).exit_code == 0

    def test_snapshot(
        self, run: Run, own_index: Path, place: list[object], tmp_path: Path, setup: Setup
    ) -> None:
        copy = tmp_path / "copy"
        assert run("snapshot", *place, "--to", copy).exit_code == 0
        assert documents(run, copy) == len(FILES)
        assert run("doctor", "--index", copy, "--profile", setup.profile).exit_code == 0
        assert "not empty" in run("snapshot", *place, "--to", copy).stderr

    def test_a_bundle_into_a_namespace(
        self, run: Run, own_index: Path, place: list[object], tmp_path: Path
    ) -> None:
        bundle = tmp_path / "all.bundle"
        assert f"{len(FILES)} documents" in run("export", *place, "--to", bundle).stdout
        result = run("import", bundle, *place, "--namespace", "team")
        assert result.exit_code == 0, result.output
        assert f"{len(FILES)} added" in result.stdout
        run("delete", "bread.md", *place, "--namespace", "team")
        assert documents(run, own_index) == len(FILES)
        assert "team" in run("info", "--index", own_index).stdout
        named = run("info", "--index", own_index, "--namespace", "team", "--json").stdout
        assert json.loads(named)["documents"] == len(FILES) - 1

    def test_doctor_looks_into_namespaces(
        self, run: Run, own_index: Path, place: list[object], tmp_path: Path
    ) -> None:
        run("export", *place, "--to", tmp_path / "b")
        run("import", tmp_path / "b", *place, "--namespace", "team")
        assert run("doctor", *place).exit_code == 0
        (path,) = (own_index / "namespaces" / "team" / "segments").glob("*.safetensors")
        path.unlink()
        assert run("doctor", *place).exit_code == 1
        assert run("doctor", *place, "--repair").exit_code == 0
        assert documents(run, own_index) == len(FILES)

    def test_no_bundle(self, run: Run, place: list[object], tmp_path: Path) -> None:
        (tmp_path / "b").write_text("nothing of the kind")
        result = run("import", tmp_path / "b", *place)
        assert result.exit_code == 2
        assert "cannot be read" in result.stderr


def test_search_in_a_namespace(run: Run, setup: Setup, own_index: Path, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("Violets are violet.")
    where = ["--index", own_index, "--namespace", "team"]
    assert run("index", tmp_path / "own.txt", *where, *setup.resident).exit_code == 0
    result = run("search", "violets", *where, "--json", "--mode", "fast", *setup.resident)
    assert {s["doc_id"] for s in json.loads(result.stdout)["spans"]} == {"own.txt"}
    wrong = run("search", "violets", "--index", own_index, "--namespace", "../x", *setup.resident)
    assert wrong.exit_code == 2


def test_migrate_reads_the_texts_with_another_profile(
    run: Run, setup: Setup, tmp_path: Path
) -> None:
    llm = TransformersModel.load(str(setup.model), device="cpu")
    other = write_profile(tmp_path / "other", llm, n_latents=32)
    refused = run(
        "search", "Why?", "--index", setup.index, "--profile", other, "--model", setup.model
    )
    assert refused.exit_code == 2
    assert "s3-retriever migrate --index" in refused.stderr
    target = tmp_path / "new"
    result = run(
        "migrate",
        *["--index", setup.index, "--to", target, "--profile", other],
        *["--model", setup.model, "--device", "cpu"],
    )
    assert result.exit_code == 0, result.output
    assert f"{len(FILES)} added" in result.stdout
    old = Engine(llm, Profile.load(setup.profile), setup.index)
    new = Engine(llm, Profile.load(other), target)
    assert [new.get(i) for i in old.ids()] == [old.get(i) for i in old.ids()]
