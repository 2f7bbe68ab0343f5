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
        unknown = run("delete", "bread.md", "nobody", *place)
        assert (unknown.exit_code, "no document 'nobody'" in unknown.output) == (2, True)
        assert documents(run, own_index) == len(FILES)
        result = run("delete", "bread.md", *place)
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

    @pytest.mark.parametrize(
        "wrong",
        [
            '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
            '{"a": ' + "[" * 985 + "]" * 985 + "}",
            '{"a": ' * 100 + "1" + "}" * 100,
            '{"a": Infinity}',
            '{"a": ' + "1" * 5000 + "}",
            '{"a": ' + "1" * 700 + "}",
        ],
        ids=["stack", "985", "mappings", "infinity", "5000 digits", "700 digits"],
    )
    def test_metadata_that_could_not_be_read_again(
        self, run: Run, own_index: Path, place: list[object], wrong: str
    ) -> None:
        result = run("set-metadata", "bread.md", wrong, *place)
        assert result.exit_code == 2
        assert result.stderr.count("error:") == 1
        assert run("delete", *place, "--filter", wrong).exit_code in (0, 2)  # a bound may be huge
        assert documents(run, own_index) == len(FILES)

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

    @pytest.mark.parametrize("lost", [["manifest.json"], ["manifest.json", "manifest.copy.json"]])
    def test_doctor_looks_into_namespaces_without_a_manifest(
        self, run: Run, own_index: Path, place: list[object], tmp_path: Path, lost: list[str]
    ) -> None:
        run("export", *place, "--to", tmp_path / "b")
        for name in ("one", "two"):
            run("import", tmp_path / "b", *place, "--namespace", name)
        for name in lost:
            (own_index / "namespaces" / "one" / name).unlink()
        (path,) = (own_index / "namespaces" / "two" / "segments").glob("*.safetensors")
        path.unlink()
        result = run("doctor", *place)
        assert result.exit_code != 0
        assert "namespaces/one" in result.output and "manifest.json" in result.output
        assert path.stem in result.output  # the others are looked at all the same

    def test_doctor_of_an_index_that_has_only_namespaces(
        self, run: Run, own_index: Path, place: list[object], setup: Setup, tmp_path: Path
    ) -> None:
        run("export", *place, "--to", tmp_path / "b")
        here = ["--index", tmp_path / "root", "--profile", setup.profile]
        assert run("import", tmp_path / "b", *here, "--namespace", "team").exit_code == 0
        assert run("doctor", *here).exit_code == 0
        (path,) = (tmp_path / "root" / "namespaces" / "team" / "segments").glob("*.safetensors")
        path.unlink()
        assert run("doctor", *here).exit_code == 1

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
    spans = json.loads(result.stdout)["spans"]
    assert {s["doc_id"] for s in spans} == {str(tmp_path / "own.txt")}
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
