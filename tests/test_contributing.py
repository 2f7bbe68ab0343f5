"""The recipes of CONTRIBUTING.md, followed to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM
from transformers.models.smollm3 import SmolLM3Config

from s3_retriever import Document, Engine, __version__
from s3_retriever.errors import ModelError
from s3_retriever.models.families import SUPPORTED, layout_of
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.readers import read_files, registry
from s3_retriever.retrieval import presets
from s3_retriever.retrieval.legs import registry as legs
from tests.tiny import VOCABULARY, tiny_llm, tiny_tokenizer, write_profile

QUESTION = "When was the lighthouse finished?"
DOCUMENTS = [
    Document("light", "It stands on a rock. The lighthouse was finished in 1887. It is white."),
    Document(
        "bread", "Flour and water ferment. The dough was finished in a week.", {"kind": "food"}
    ),
]
ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a recipe registers is gone after it."""
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (known, dict(known))
        for known in (SUPPORTED, registry._READERS, presets._PRESETS, legs._LEGS)
    ]
    yield
    for known, before in kept:
        known.clear()
        known.update(before)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    llm = tiny_llm()
    profile = Profile.load(write_profile(tmp_path_factory.mktemp("profile"), llm))
    engine = Engine(llm, profile)
    engine.add(DOCUMENTS)
    return engine


def follow(recipe: str, **given: Any) -> dict[str, Any]:
    """Run the blocks of Python under a heading, one after the other; what they leave behind."""
    (section,) = re.findall(rf"^## {recipe}\n(.*?)(?=^## |\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert blocks
    names: dict[str, Any] = {"__name__": "recipe", **given}
    for block in blocks:
        exec(compile(block, f"CONTRIBUTING.md, {recipe}", "exec", dont_inherit=True), names)
    return names


def test_a_leg(engine: Engine) -> None:
    with pytest.raises(Exception, match="words_and_leads"):
        engine.retrieve(QUESTION, mode="words_and_leads")
    spans = follow("Add a leg", engine=engine, question=QUESTION)["spans"]
    leads = {span.text: span.scores for span in spans if "first_sentence" in span.scores}
    assert set(leads) == {"It stands on a rock.", "Flour and water ferment."}
    assert any("bm25" in span.scores for span in spans)


def test_a_model_family(tmp_path: Path) -> None:
    config = SmolLM3Config(
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    with pytest.raises(ModelError, match=r"models/families\.py"):
        layout_of(config)
    follow("Add a model family")
    model = AutoModelForCausalLM.from_config(config).float().eval()
    llm = TransformersModel(model, tiny_tokenizer(), "tiny-smollm3")
    assert llm.layout.family == "smollm3"
    engine = Engine(llm, Profile.load(write_profile(tmp_path, llm)))
    engine.add(DOCUMENTS)
    for span in engine.retrieve(QUESTION):
        assert engine.get(span.doc_id).text[span.start : span.end] == span.text
    assert engine.retrieve(QUESTION, mode="features")


def test_a_search_engine(engine: Engine) -> None:
    names = follow("Add a search engine", engine=engine, question=QUESTION)
    assert names["spans"]
    search, retriever = names["CountedWords"](names["store"]), names["retriever"]
    assert [hit.tokens.doc_id for hit in search.search_words(["lighthouse", "was"], 9)] == [
        "light",
        "bread",
    ]
    settings = engine.retrieve_settings
    alone = settings.model_copy(
        update={"candidates": settings.candidates.model_copy(update={"cover": 0})}
    )
    for filter, expected in ((None, "light"), ({"kind": "food"}, "bread")):
        found = retriever.retrieve(
            names["store"], search, QUESTION, settings=alone, mode="bm25", filter=filter
        )
        assert found[0].doc_id == expected


def test_a_reader(tmp_path: Path) -> None:
    (tmp_path / "oil.dat").write_text('year,price\n1973,"1,5"\n')
    (tmp_path / "odd.dat").write_bytes(b"\xff")
    assert len(read_files([tmp_path]).passed_over) == 2
    follow("Add a reader")
    files = read_files([tmp_path], root=tmp_path)
    assert [(d.id, d.text) for d in files.documents] == [("oil.dat", "year\tprice\n1973\t1,5")]
    assert "save it as UTF-8" in files.skipped[str(tmp_path / "odd.dat")]


def test_every_recipe_is_followed() -> None:
    assert set(re.findall(r"^## Add an? (.*)$", GUIDE, re.MULTILINE)) == {
        "leg",
        "model family",
        "search engine",
        "reader",
    }


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_the_files_it_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([\w/.]+)\)", text)
    files = re.findall(r"`((?:s3_retriever|tests|docs)/[\w/.]+)`", text)
    assert links
    assert files
    for name in {*links, *files}:
        assert (ROOT / name).exists(), name


def test_the_version_is_the_same_wherever_it_stands() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (version,) = re.findall(r"^version: (.*)$", citation, re.MULTILINE)
    (date,) = re.findall(r'^date-released: "(.*)"$', citation, re.MULTILINE)
    assert version == __version__
    assert f"## [{version}] - {date}\n" in changes
