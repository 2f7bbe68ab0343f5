"""Documents in every form in which people have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Document, Engine, InputError, Profile
from s3_retriever.giving import as_document, is_one_document, named
from s3_retriever.validation import sort_out
from tests.tiny import TEXT, tiny_llm, write_profile


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("giving")
    llm = tiny_llm()
    return Engine(llm, Profile.load(write_profile(folder / "p", llm)), folder / "index")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Document("a", "x", {"n": 1}), Document("a", "x", {"n": 1})),
        ({"id": "a", "text": "x"}, Document("a", "x")),
        ({"id": "a", "page_content": "x", "type": "Document"}, Document("a", "x")),
        ({"id": "a", "text": "x", "metadata": {"n": 1}}, Document("a", "x", {"n": 1})),
        ({"id": "a", "text": "x", "metadata": None}, Document("a", "x")),
        ({"text": "x"}, named("x")),
        ("x", named("x")),
        (5, 5),
        (None, None),
    ],
)
def test_as_document(given: Any, expected: Any) -> None:
    assert as_document(given) == expected


def test_texts_without_an_id_are_told_apart_by_their_metadata() -> None:
    found = sort_out([{"text": "x", "metadata": {"page": n}} for n in (1, 2, 1)])
    assert len(found.good) == 2
    assert found.ids[0] == found.ids[2] != found.ids[1]
    odd: dict[Any, Any] = {1: 2, "a": 3}
    assert named("x", odd).id == named("x").id  # no index could keep them


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "a dict needs 'text' or 'page_content', and this one has nothing"),
        ({"id": "a"}, "and this one has 'id'"),
        ({"text": "x", "page_content": "x"}, "and this one has 'text', 'page_content'"),
        ({"text": "x", "url": "y", 5: 1}, "and this one 'url', int; put it into metadata"),
        ({"text": 5}, "its text is int"),
        ({"text": "x", "id": 5}, "its id must be a string"),
        ({"text": "x", "metadata": [1]}, "its metadata is list"),
        (5, "it is a int, not a Document, a string, a dict with text and id, or a document of"),
        (None, "it is a NoneType"),
        (b"x", "it is a bytes"),
        (("id", "x"), "it is a tuple"),
    ],
)
def test_what_is_none_is_named(engine: Engine, given: Any, reason: str) -> None:
    with pytest.raises(InputError) as raised:
        engine.add([given])
    assert reason in str(raised.value)
    report = engine.add([given, "A good one."])
    assert [reason in why for why in report.skipped.values()] == [True]


def test_one_is_a_list_of_one(engine: Engine) -> None:
    for given in (Document("one", TEXT), {"id": "one", "text": TEXT}):
        assert engine.add(given).ids == ("one",)
        assert is_one_document(given)
    assert engine.get("one") == Document("one", TEXT)
    found = engine.select("What burned oil?", {"id": "lamp", "text": TEXT}, mode="bm25")
    assert {span.doc_id for span in found} == {"lamp"}


def test_langchains_are_kept_as_their_own_component_keeps_them(engine: Engine) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.documents import Document as LangChainDocument
    from langchain_endogenous import EndogenousRetriever

    plain = LangChainDocument("A fox.", metadata={"source": "f.txt"})
    (doc_id,) = engine.add(plain).added
    assert engine.get(doc_id) == Document(doc_id, "A fox.", {"source": "f.txt"})
    assert EndogenousRetriever(engine=engine).add_documents(plain) == [doc_id]
    assert engine.add(LangChainDocument("An owl.", id="owl").model_dump()).ids == ("owl",)
    found = engine.select("A hen?", [LangChainDocument("A hen.", id="hen")], mode="bm25")
    assert found[0].doc_id == "hen"


def test_llama_indexes_are_kept_as_their_own_component_keeps_them(engine: Engine) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core import Document as LlamaDocument
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.retrievers.endogenous import EndogenousIndex

    whole = LlamaDocument(text="A bee.", id_="bee", excluded_llm_metadata_keys=["n"])
    part = TextNode(text="A wasp.", id_="wasp")
    part.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="insects")
    assert engine.add(whole).ids == ("bee",)
    assert engine.add([part]).ids == ("wasp",)
    index = EndogenousIndex(engine)
    assert index.docstore.docs["bee"].excluded_llm_metadata_keys == ["n"]
    assert index.ref_doc_info["insects"].node_ids == ["wasp"]


def test_a_framework_whose_part_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    core = pytest.importorskip("langchain_core.documents")
    monkeypatch.setitem(__import__("sys").modules, "langchain_endogenous.documents", None)
    with pytest.raises(InputError, match=r'pip install "s3-retriever\[langchain\]"'):
        as_document(core.Document("x"))


def test_what_things_look_like(engine: Engine, tmp_path: Path) -> None:
    shown = repr(engine)
    assert shown.startswith("Engine(profile='")
    assert f"path='{engine.documents.location}'" in shown or "…" in shown
    assert shown.endswith(f"documents={len(engine)})")
    assert repr(engine.profile) == (
        f"Profile('{engine.profile.card.name}', model='{engine.profile.card.model}')"
    )
    assert repr(engine.llm).endswith("device=cpu, dtype=float32)")
    aside = Engine(engine.llm, engine.profile)
    assert "path=None, documents=0" in repr(aside)
