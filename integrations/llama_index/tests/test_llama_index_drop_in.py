"""What LlamaIndex's own indexes are used with: blanks, any metadata, stores, ids, persisting."""

from __future__ import annotations

import asyncio
import shutil

import pytest

pytest.importorskip("llama_index.core")

import llama_index.core
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core import Document, QueryBundle
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.retrievers.endogenous import (
    EndogenousIndex,
    EndogenousLLM,
    EndogenousPostprocessor,
    EndogenousRetriever,
)
from llama_index.retrievers.endogenous.nodes import own_metadata, to_document, to_node

from s3_retriever import Document as EngineDocument
from s3_retriever import Engine
from s3_retriever.errors import IndexStorageError, InputError
from tests.integrations.small import BLANKS, small_engine

pytestmark = pytest.mark.usefixtures("one_thread")

OWLS, LARKS = "Owls hunt at night.", "Larks sing at dawn."
RESERVED = [
    "_node",
    "_node~",
    "_node~~",
    "_node_content",
    "_node_type",
    "doc_id",
    "id",
    "ref_doc_id",
    "document_id",
    "rank",
    "scores",
    "score_kind",
    "_id",
    "text",
    "excluded_llm_metadata_keys",
]
SAID = {"ref_doc_id": "another", "excluded_llm_metadata_keys": ["a"]}
VALUES = ["mine", 7, None, True, [], ["a", 1], {}, {"ref_doc_id": "b"}, SAID, {"ref_doc_id": 7}]


def document(text, id_, **metadata):
    return Document(text=text, id_=id_, metadata=metadata)


def part(text, id_, whole, **metadata):
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=whole)}
    return TextNode(text=text, id_=id_, metadata=metadata, relationships=source)


@pytest.fixture
def engine(tmp_path):
    return small_engine(tmp_path)


@pytest.fixture
def index(engine):
    return EndogenousIndex(engine)


class TestBlankPages:
    @pytest.mark.parametrize("blank", BLANKS)
    def test_go_by(self, index, blank, caplog):
        index.insert(document(blank, "blank"))
        index.insert_nodes([TextNode(text=blank, id_="blank"), document(OWLS, "owls")])
        asyncio.run(index.ainsert(document(blank, "blank")))
        asyncio.run(index.ainsert_nodes([TextNode(text=blank, id_="blank")]))
        assert caplog.text.count("blank is left out") == 4
        added = EndogenousRetriever(index.engine).add_documents([document(blank, "blank")])
        assert (added, list(added.skipped)) == ([], ["blank"])
        assert index.refresh_ref_docs([document(blank, "blank"), document(OWLS, "owls")]) == [
            False,
            False,
        ]
        assert index.engine.ids() == ["owls"]

    def test_a_page_that_becomes_blank_goes(self, index):
        index.insert_nodes([document(OWLS, "owls"), part(LARKS, "1", "birds"), part("x", "2", "y")])
        assert index.refresh_ref_docs([document(" ", "owls"), document("", "birds")])[0]
        assert index.engine.ids() == ["2"]
        index.update_ref_doc(document("\u200b", "y"))
        assert index.engine.ids() == []


class TestMetadata:
    JSON = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab~_", max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(RESERVED), inner, max_size=2)
        ),
        max_leaves=4,
    )

    @given(st.dictionaries(st.sampled_from(RESERVED) | st.text("_node~", max_size=8), JSON))
    def test_any_comes_back(self, metadata):
        hidden = ["a"] if len(metadata) % 2 else []
        for node in (
            Document(text=OWLS, metadata=metadata, excluded_llm_metadata_keys=hidden),
            part(OWLS, "1", "whole", **{}),
        ):
            node.metadata = metadata
            kept = to_document(node)
            assert own_metadata(kept.metadata) == metadata
            again = to_node(kept)
            assert (again.metadata, again.node_id) == (metadata, node.node_id)
            assert again.excluded_llm_metadata_keys == node.excluded_llm_metadata_keys
            assert again.ref_doc_id == node.ref_doc_id

    @pytest.mark.parametrize("value", VALUES)
    @pytest.mark.parametrize("name", ["_node", "_node~", "_node_content", "doc_id", "rank"])
    def test_through_the_index(self, index, name, value):
        index.insert_nodes([document(OWLS, "owls", **{name: value}), part(LARKS, "1", "birds")])
        index.insert_nodes([part("Storks fly.", "2", "birds", **{name: value})])
        assert set(index.ref_doc_info) == {"owls", "birds"}
        assert index.ref_doc_info["owls"].metadata == {name: value}
        found = {n.node.source_node.node_id: n.node for n in index.as_retriever().retrieve("owls")}
        assert found["owls"].source_node.metadata == {name: value}
        assert index.docstore.docs["owls"].metadata == {name: value}
        assert index.refresh_ref_docs([document(OWLS, "owls", **{name: value})]) == [False]
        again = EndogenousPostprocessor(engine=index.engine).postprocess_nodes(
            [NodeWithScore(node=document(OWLS, "owls", **{name: value}))], query_str="owls"
        )
        assert again[0].node.source_node.metadata == {name: value}

    @pytest.mark.parametrize("value", VALUES)
    def test_added_without_llama_index(self, index, value):
        index.engine.add([EngineDocument("owls", OWLS, {"_node": value})])
        assert len(index.ref_doc_info) == 1
        assert len(index.as_retriever().retrieve("owls")) == 1

    def test_a_filter_finds_them(self, index):
        index.insert_nodes([document(OWLS, "a", _node=1, year=5), document(LARKS, "b", _node=2)])
        for options in (
            {"filter": {"_node": 2}},
            {"filter": {"$or": [{"_node": {"$gt": 1}}, {"$not": {"_node": {"$exists": True}}}]}},
            {"filters": MetadataFilters(filters=[MetadataFilter(key="_node", value=2)])},
            {"filter": {"_node": {"$ne": 1}}},
        ):
            found = index.as_retriever(**options).retrieve("owls larks")
            assert {n.node.ref_doc_id for n in found} == {"b"}
        text = MetadataFilter(key="_node", value="x", operator=FilterOperator.TEXT_MATCH)
        assert index.as_retriever(filters=MetadataFilters(filters=[text])).retrieve("owls") == []
        with pytest.raises(InputError):
            index.as_retriever(filter={"$and": 3}).retrieve("owls")

    @pytest.mark.parametrize("wrong", ["x", 3, {"a": 1}, [MetadataFilter(key="a", value=1)], True])
    def test_no_filters(self, index, wrong):
        index.insert(document(OWLS, "owls"))
        with pytest.raises(InputError, match="MetadataFilters"):
            index.as_retriever(filters=wrong).retrieve("owls")
        part = MetadataFilters.model_construct(filters=["a"], condition="and")
        with pytest.raises(InputError, match="MetadataFilter"):
            index.as_retriever(filters=part).retrieve("owls")

    @pytest.mark.parametrize("odd", [{(1, 2): 3}, {"s": "caf\udce9"}, {"o": object()}, {"t": {1}}])
    def test_of_other_stores(self, index, odd):
        nodes = [TextNode(text=text, id_="0") for text in (OWLS, LARKS)]
        for node in nodes:
            node.metadata.update(odd)
        cut = EndogenousPostprocessor(engine=index.engine, max_tokens=None)
        given_ = [NodeWithScore(node=node) for node in nodes]
        for found in (
            cut.postprocess_nodes(given_, query_str="Who hunts?"),
            asyncio.run(cut.apostprocess_nodes(given_, query_str="Who hunts?")),
        ):
            assert {n.node.text for n in found} == {OWLS, LARKS}
            assert all(n.node.metadata[key] is value for n in found for key, value in odd.items())


class TestIds:
    @pytest.fixture(autouse=True)
    def filled(self, index):
        index.insert_nodes([document(OWLS, "owls"), document(LARKS, "pp"), document("X.", "p")])

    def test_found_nodes_can_be_deleted(self, index, caplog):
        found = {n.node.ref_doc_id: n.node_id for n in index.as_retriever().retrieve("owls larks")}
        assert found["owls"] != "owls"
        index.delete_nodes([found["owls"]])
        assert index.engine.ids() == ["pp", "p"]
        asyncio.run(index.adelete_nodes([found["pp"], "p"]))
        assert index.engine.ids() == []
        assert "not there" not in caplog.text

    @pytest.mark.parametrize("missing", ["nothing", "owls:0-999", "owls:3-1", "x:0-1", "p:"])
    def test_what_is_not_there_is_told(self, index, missing, caplog):
        index.delete_nodes([missing])
        assert "1 of 1 nodes to delete are not there" in caplog.text
        asyncio.run(index.adelete_nodes([missing]))
        index.delete_ref_doc(missing)
        assert caplog.text.count("not there") == 3
        assert len(index.engine.ids()) == 3

    @pytest.mark.parametrize("given", [None, 5, b"pp", [1], [None], [["pp"]], {"pp": 1}])
    def test_no_ids(self, index, given):
        for call in (index.delete_nodes, index.delete_ref_doc):
            with pytest.raises(InputError):
                call(given)
        with pytest.raises(InputError):
            asyncio.run(index.adelete_ref_doc(given))
        assert len(index.engine.ids()) == 3

    @pytest.mark.parametrize("given", [None, 5, b"x", "", "a\0b"])
    def test_no_path(self, index, given):
        for call in (index.persist, index.storage_context.persist):
            with pytest.raises(InputError):
                call(given)

    def test_what_is_found_is_a_copy(self, index):
        index.insert_nodes(
            [TextNode(text="Storks fly to Africa.", id_="s", metadata={"tags": ["a"]})]
        )
        for way in (
            lambda: index.docstore.docs["s"],
            lambda: index.docstore.get_node("s"),
            lambda: index.ref_doc_info["s"],
            lambda: next(
                n.node
                for n in index.as_retriever().retrieve("storks fly to Africa?")
                if n.node.ref_doc_id == "s"
            ),
        ):
            assert way().metadata["tags"] == ["a"]
            way().metadata["tags"].append("b")
            assert way().metadata["tags"] == ["a"]

    def test_one_where_a_list_is_meant(self, index):
        index.delete_nodes("pp")
        assert index.engine.ids() == ["owls", "p"]
        index.insert_nodes(document(LARKS, "larks"))
        assert index.refresh_ref_docs(document(LARKS, "larks")) == [False]
        with pytest.raises(InputError, match="not a document or node"):
            index.insert_nodes(["Plain text."])
        with pytest.raises(InputError, match="must be a list"):
            index.insert_nodes(None)

    def test_the_document_store_is_the_index(self, index):
        index.insert_nodes([part("One.", "1", "whole"), part("Two.", "2", "whole")])
        store = index.docstore
        assert index.storage_context.docstore is store
        assert set(store.docs) == {"owls", "pp", "p", "1", "2"}
        assert store.get_document("owls").get_content() == OWLS
        assert asyncio.run(store.aget_document("pp")).get_content() == LARKS
        assert store.document_exists("p")
        assert not store.document_exists("q")
        assert store.get_document("q", raise_error=False) is None
        with pytest.raises(ValueError, match="not found"):
            store.get_document("q")
        assert [n.text for n in store.get_nodes(["1", "2"])] == ["One.", "Two."]
        assert store.get_ref_doc_info("whole").node_ids == ["1", "2"]
        assert set(store.get_all_ref_doc_info()) == {"owls", "pp", "p", "whole"}
        hashed = store.get_document_hash("owls")
        assert (hashed, len(store.get_all_document_hashes())) == (document(OWLS, "owls").hash, 5)
        store.add_documents([document("A new one.", "new"), document(" ", "blank")])
        assert "new" in index.engine
        for gone in ("owls", "1", "new"):
            store.delete_document(gone)
        asyncio.run(store.adelete_document("pp"))
        assert index.engine.ids() == ["p", "2"]
        store.delete_ref_doc("whole")
        assert list(index.docstore.docs) == ["p"]


class TestPersisting:
    def test_overwrites(self, index, tmp_path):
        folder = tmp_path / "kept"
        for n in range(3):
            index.insert(document(f"Text {n} is here.", f"id {n}"))
            index.storage_context.persist(str(folder))
            index.storage_context.persist(persist_dir=folder)
            index.persist(folder)
            again = Engine(index.engine.llm, index.engine.profile, folder)
            assert again.ids() == [f"id {i}" for i in range(n + 1)]
        index.delete_nodes(["id 0"])
        index.persist(folder)
        assert again.ids() == ["id 1", "id 2"]

    def test_default_folder_and_its_own(self, index, engine, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        on_disk = EndogenousIndex(Engine(engine.llm, engine.profile, tmp_path / "storage"))
        on_disk.insert(document(OWLS, "owls"))
        on_disk.storage_context.persist()
        assert on_disk.engine.ids() == ["owls"]
        index.insert(document(LARKS, "larks"))
        index.storage_context.persist()
        assert on_disk.engine.ids() == ["larks"]

    def test_a_removed_folder(self, engine, tmp_path):
        index = EndogenousIndex(Engine(engine.llm, engine.profile, tmp_path / "here"))
        index.insert(document(OWLS, "owls"))
        shutil.rmtree(tmp_path / "here")
        with pytest.raises(IndexStorageError, match="is gone"):
            index.insert(document(LARKS, "larks"))
        assert not (tmp_path / "here").exists()
        again = EndogenousIndex(Engine(engine.llm, engine.profile, tmp_path / "here"))
        again.insert(document(LARKS, "larks"))
        assert list(again.docstore.docs) == ["larks"]


class TestQuestions:
    @pytest.mark.parametrize("bad", [None, 7, {}, [], "", " ", QueryBundle(" "), QueryBundle(None)])
    def test_what_is_no_question(self, index, bad):
        retriever = index.as_retriever()
        with pytest.raises(InputError, match="question"):
            retriever.retrieve(bad)
        with pytest.raises(InputError, match="question"):
            asyncio.run(retriever.aretrieve(bad))

    def test_one_stop_sequence_and_no_messages(self, engine):
        llm = EndogenousLLM(llm=engine.llm, max_tokens=8)
        whole = llm.complete("Owls").text
        stop = whole[len(whole) // 2 :]
        cut = whole[: whole.index(stop)]
        assert llm.complete("Owls", stop=stop).text == cut
        assert EndogenousLLM(llm=engine.llm, max_tokens=8, stop=stop).complete("Owls").text == cut
        assert [p.text for p in llm.stream_complete("Owls", stop=stop)][-1] == cut
        for wrong in ("", [""], [7], 7):
            with pytest.raises(InputError, match="stop sequence"):
                llm.chat([ChatMessage("Owls")], stop=wrong)
        with pytest.raises(InputError, match="no messages"):
            llm.chat([])
        with pytest.raises(InputError, match="no messages"):
            asyncio.run(llm.achat([]))


def test_a_tokenizer_of_your_own_stays(engine, monkeypatch):
    mine = str.split
    monkeypatch.setattr(llama_index.core, "global_tokenizer", mine)
    EndogenousLLM(llm=engine.llm)
    assert llama_index.core.global_tokenizer is mine
