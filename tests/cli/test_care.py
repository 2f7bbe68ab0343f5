"""``info`` and ``doctor``: an index is described and repaired without its model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from s3_retriever.engine import Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.cards import load_card
from s3_retriever.profiles.profile import Profile
from s3_retriever.storage.index import Index
from s3_retriever.storage.segments import Segment
from tests.cli.conftest import FILES, Run, Setup
from tests.damage import overwrite
from tests.tiny import tiny_llm


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither command may load a model."""

    def load(*_: object, **__: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(TransformersModel, "load", load)


def segment(index: Path) -> Path:
    (path,) = (index / "segments").glob("*.safetensors")
    return path


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    overwrite(path, bytes(content))


def cut(path: Path) -> None:
    overwrite(path, path.read_bytes()[:-50])


class TestInfo:
    def test_json_agrees_with_the_engine(
        self, run: Run, setup: Setup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = json.loads(run("info", "--index", setup.index, "--json").stdout)
        monkeypatch.undo()
        llm = TransformersModel.load(str(setup.model), device="cpu")
        engine = Engine(llm, Profile.load(setup.profile), setup.index)
        expected = engine.info()
        for of_the_model in ("model", "device", "dtype", "weight_bytes"):
            expected.pop(of_the_model)
        assert record.pop("model") == "tiny-llama"
        assert record == expected

    def test_for_people(self, run: Run, setup: Setup) -> None:
        result = run("info", "--index", setup.index)
        assert result.exit_code == 0
        fields = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
        assert fields["documents"].strip() == str(len(FILES))
        assert fields["profile"].strip() == "tiny"

    def test_a_damaged_segment(self, run: Run, own_index: Path) -> None:
        cut(segment(own_index))
        result = run("info", "--index", own_index)
        assert result.exit_code == 2
        assert "doctor" in result.stderr


class TestDoctor:
    def test_a_whole_index(self, run: Run, setup: Setup) -> None:
        result = run("doctor", "--index", setup.index, "--profile", setup.profile)
        assert result.exit_code == 0
        assert result.stdout == f"{setup.index} is whole\n"

    @pytest.mark.parametrize("what", ["gone", "meta.json", "*.pos", "*.term"])
    def test_a_damaged_search_part_is_built_anew(
        self, run: Run, setup: Setup, own_index: Path, what: str
    ) -> None:
        if what == "gone":
            shutil.rmtree(own_index / "tantivy")
        elif what == "meta.json":
            (own_index / "tantivy" / what).write_text("{")
        else:
            for path in (own_index / "tantivy").glob(what):
                path.unlink()
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile]
        sick = run(*doctor)
        assert sick.exit_code == 1
        assert "--repair" in sick.stdout
        repaired = run(*doctor, "--repair")
        assert repaired.exit_code == 0
        assert repaired.stdout.endswith(f"{own_index} is whole\n")
        assert run(*doctor).exit_code == 0

    @pytest.mark.parametrize("journal", ["none", "empty", "kept"])
    def test_what_an_earlier_versions_broken_commit_left(
        self,
        run: Run,
        setup: Setup,
        own_index: Path,
        tmp_path: Path,
        journal: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A segment that nothing names, and its blocks in the search part, which was not recorded:
        whoever is told of damage is told the way out, and it is one."""
        index = Index(own_index, load_card(setup.profile))
        left = segment(own_index)
        (own_index / "segments" / "00000002-0badcafe.safetensors").write_bytes(left.read_bytes())
        with index.candidates.changing() as writer:
            blocks = index.snapshot.segments[left.stem].blocks()
            writer.add(b._replace(segment="00000002-0badcafe") for b in blocks)
        if journal == "kept":
            (own_index / "writer.journal").write_text("00000002-0badcafe\n")
        elif journal == "none":
            (own_index / "writer.journal").unlink()
        monkeypatch.undo()
        (tmp_path / "new.txt").write_text("Something new.")
        add = ["index", tmp_path / "new.txt", "--index", own_index, *setup.resident]
        way_out = f"s3-retriever doctor --index {own_index} --repair"
        sick = run("doctor", "--index", own_index, "--profile", setup.profile)
        assert (sick.exit_code, way_out in sick.stdout) == (1, True)
        if run(*add).exit_code:
            assert "s3-retriever doctor --repair" in run(*add).stderr
            healed = run("doctor", "--index", own_index, "--profile", setup.profile, "--repair")
            assert healed.exit_code == 0, healed.output
        assert "1 added" in run(*add).stdout or "1 unchanged" in run(*add).stdout
        assert run("doctor", "--index", own_index, "--profile", setup.profile).exit_code == 0
        found = run("search", "lighthouse", "--index", own_index, "--json", *setup.resident)
        assert json.loads(found.stdout)["spans"]

    def test_damage_that_tantivy_does_not_notice_is_repaired_too(
        self, run: Run, setup: Setup, own_index: Path
    ) -> None:
        (words,) = (own_index / "tantivy").glob("*.idx")
        content = bytearray(words.read_bytes())
        content[100:140] = bytes(40)
        overwrite(words, bytes(content))
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile, "--repair"]
        assert run(*doctor).exit_code == 0
        assert all(p.read_bytes() != content for p in (own_index / "tantivy").glob("*.idx"))

    @pytest.mark.parametrize("damage", [flip_a_byte, cut, Path.unlink])  # the last text's bytes
    def test_a_damaged_segment_is_put_aside_and_can_be_indexed_again(
        self,
        run: Run,
        setup: Setup,
        own_index: Path,
        damage: object,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert callable(damage)
        path = segment(own_index)
        damage(path)
        there = path.exists()
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile]
        sick = run(*doctor)
        assert sick.exit_code == 1
        assert path.stem in sick.stdout
        affected = [name for name in FILES if name in sick.stdout]
        assert len(affected) == (1 if damage is flip_a_byte else len(FILES))

        repaired = run(*doctor, "--repair")
        assert repaired.exit_code == 0
        assert "index these documents again" in repaired.stdout
        assert (own_index / "damaged" / path.name).exists() == there

        monkeypatch.undo()
        again = run("index", setup.files, "--index", own_index, *setup.resident)
        assert (
            f"{len(affected)} added, 0 updated, {len(FILES) - len(affected)} unchanged"
            in again.stdout
        )
        assert run(*doctor).exit_code == 0

    def test_only_what_is_affected_is_left_out(
        self,
        run: Run,
        setup: Setup,
        own_index: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first = segment(own_index)
        monkeypatch.undo()
        (tmp_path / "new.txt").write_text("Something new.")
        run("index", tmp_path / "new.txt", "--index", own_index, *setup.resident)
        flip_a_byte(first)
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile]
        assert run(*doctor, "--repair").exit_code == 0
        record = json.loads(run("info", "--index", own_index, "--json").stdout)
        assert record["documents"] == len(FILES)  # of four, one has lost its text

    def test_a_document_whose_codes_are_lost_is_read_again(
        self, run: Run, setup: Setup, own_index: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = segment(own_index)
        sound = Segment.open(segment(setup.index))
        whole = path.read_bytes()
        first = whole.index(sound.ids[:4].tobytes())
        overwrite(path, whole[:first] + bytes([whole[first] ^ 1]) + whole[first + 1 :])
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile]
        sick = run(*doctor)
        assert f"codes lost: {sound.entries[0].id}" in sick.stdout
        assert "2 of its documents are whole" in sick.stdout
        monkeypatch.undo()
        repaired = run(*doctor, "--repair", "--model", setup.model, "--device", "cpu")
        assert repaired.exit_code == 0, repaired.output
        assert f"read again: {sound.entries[0].id}" in repaired.stdout
        again = Segment.open(segment(own_index))
        assert [e.id for e in again.entries] == [e.id for e in sound.entries]
        assert (again.ids == sound.ids).all()  # the model says the same as before
        assert (again.activations == sound.activations).all()

    def test_codes_are_read_again_with_the_same_weights_or_not_at_all(
        self,
        run: Run,
        setup: Setup,
        own_index: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = segment(own_index)
        whole = path.read_bytes()
        first = whole.index(Segment.open(segment(setup.index)).ids[:4].tobytes())
        damaged = whole[:first] + bytes([whole[first] ^ 1]) + whole[first + 1 :]
        overwrite(path, damaged)
        other = tiny_llm(seed=1, max_position_embeddings=4096)
        other.model.save_pretrained(tmp_path / "other")
        other.tokenizer.save_pretrained(tmp_path / "other")
        monkeypatch.undo()
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile, "--repair"]
        refused = run(*doctor, "--model", tmp_path / "other", "--device", "cpu")
        assert refused.exit_code == 2
        assert "made with other weights of tiny-llama" in refused.stderr
        assert path.read_bytes() == damaged  # as it was, for the right model to repair

    def test_a_damaged_manifest_comes_back_from_its_copy(
        self, run: Run, setup: Setup, own_index: Path
    ) -> None:
        before = json.loads(run("info", "--index", own_index, "--json").stdout)
        flip_a_byte(own_index / "manifest.json")
        doctor = ["doctor", "--index", own_index, "--profile", setup.profile]
        assert "manifest.json is damaged" in run(*doctor).stderr
        assert run(*doctor, "--repair").exit_code == 0
        after = json.loads(run("info", "--index", own_index, "--json").stdout)
        assert after["documents"] == before["documents"]

    def test_another_profile(self, run: Run, setup: Setup, tmp_path: Path) -> None:
        other = tmp_path / "other"
        shutil.copytree(setup.profile, other)
        card = json.loads((other / "profile.json").read_text())
        card["chunk_prefix"] = "Other:\n"
        (other / "profile.json").write_text(json.dumps(card))
        result = run("doctor", "--index", setup.index, "--profile", other)
        assert result.exit_code == 2
        assert "was made with profile" in result.stderr

    def test_a_damaged_manifest(self, run: Run, own_index: Path) -> None:
        (own_index / "manifest.json").write_text("{")
        result = run("doctor", "--index", own_index)
        assert result.exit_code == 2
        assert "manifest.json is damaged" in result.stderr
