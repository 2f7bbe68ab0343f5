"""The LlamaIndex index and postprocessor, and LlamaIndex's own engines over them."""

from __future__ import annotations

import asyncio
import json

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import Document, QueryBundle, Settings
from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.query_engine import (
    CitationQueryEngine,
    RetrieverQueryEngine,
    RouterQueryEngine,
)
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import (
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.tools import QueryEngineTool
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters
from llama_index.retrievers.endogenous import (
    EndogenousIndex,
    EndogenousLLM,
    EndogenousPostprocessor,
    EndogenousRetriever,
)

from s3_retriever.engine import Engine
from s3_retriever.errors import InputError
from tests.integrations.samples import METADATA, PROFILE, QUESTIONS, TEXTS, needs_profile

pytestmark = needs_profile

ASK = "What is the capital of France?"
FRANCE = "The capital of France is Paris."


def document(name, text=None):
    return Document(text=text or TEXTS[name], id_=name, metadata=METADATA[name])


@pytest.fixture
def index(engine):
    return EndogenousIndex(engine)


@pytest.fixture
def empty(engine):
    return EndogenousIndex(Engine(engine.llm, engine.profile))


@pytest.fixture
def llm(engine):
    return EndogenousLLM(llm=engine.llm, max_tokens=16)


class TestIndex:
    def test_query_engine_answers_without_an_embedding_model(self, index, monkeypatch):
        monkeypatch.setattr(
            type(Settings), "embed_model", property(lambda self: pytest.fail("asked for"))
        )
        engine = index.as_query_engine(similarity_top_k=2)
        answer = engine.query(QUESTIONS[0])
        assert "Maren Holt" in str(answer)
        assert len(answer.source_nodes) == 2
        assert answer.source_nodes[0].node.ref_doc_id == "lighthouse"

    def test_lifecycle(self, empty):
        empty.insert(document("bakery"))
        empty.insert(document("lighthouse"))
        assert set(empty.ref_doc_info) == {"bakery", "lighthouse"}
        changed = document("bakery", "The bakery is closed for good.")
        assert empty.refresh_ref_docs([changed, document("lighthouse"), document("museum")]) == [
            True,
            False,
            True,
        ]
        assert empty.engine.get("bakery").text == "The bakery is closed for good."
        empty.update_ref_doc(document("bakery"))
        assert empty.engine.get("bakery").text == TEXTS["bakery"]
        empty.delete_ref_doc("lighthouse")
        empty.delete_ref_doc("nothing")
        assert empty.engine.ids() == ["museum", "bakery"]
        assert empty.ref_doc_info["museum"].metadata == METADATA["museum"]

    def test_the_nodes_of_a_splitter_are_parts_of_their_document(self, empty):
        nodes = [
            TextNode(
                text=part,
                metadata=METADATA[name],
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=name)},
            )
            for name in ("museum", "bakery")
            for part in TEXTS[name].split(". ")
        ]
        parts = [node.node_id for node in nodes if node.ref_doc_id == "bakery"]
        assert len(parts) > 1
        empty.insert_nodes(nodes)
        assert set(empty.ref_doc_info) == {"museum", "bakery"}
        assert set(empty.ref_doc_info["bakery"].node_ids) == set(parts)
        assert empty.ref_doc_info["bakery"].metadata == METADATA["bakery"]
        empty.update_ref_doc(document("museum"))
        assert set(empty.engine.ids()) == {"museum", *parts}
        empty.delete_ref_doc("bakery")
        assert empty.engine.ids() == ["museum"]

    def test_what_a_reader_hides_from_prompts_stays_hidden(self, empty, engine):
        """As SimpleDirectoryReader does with a file's size and dates."""
        hidden = Document(
            text=TEXTS["lighthouse"],
            id_="lighthouse",
            metadata={"file_name": "sandoy.txt", "file_size": 312},
            excluded_llm_metadata_keys=["file_size"],
            excluded_embed_metadata_keys=["file_name"],
        )
        empty.insert(hidden)
        cut = EndogenousPostprocessor(engine=engine)
        found = empty.as_retriever(k=1).retrieve(QUESTIONS[0])
        for node in (found[0].node, cut.postprocess_nodes(found, query_str=QUESTIONS[0])[0].node):
            assert node.metadata["file_size"] == 312
            assert node.get_content(MetadataMode.LLM).startswith("file_name: sandoy.txt\n\n")
            assert "sandoy" not in node.get_content(MetadataMode.EMBED)
        assert found[0].node.source_node.metadata == hidden.metadata
        assert empty.ref_doc_info["lighthouse"].metadata == hidden.metadata
        assert empty.refresh_ref_docs([hidden]) == [False]

    def test_async_lifecycle(self, empty):
        async def run():
            await empty.ainsert(document("bakery"))
            await empty.ainsert_nodes([document("museum")])
            await empty.aupdate_ref_doc(document("bakery", "Closed for good."))
            changed = await empty.arefresh_ref_docs([document("museum"), document("lighthouse")])
            await empty.adelete_ref_doc("museum")
            found = await empty.as_retriever(k=1).aretrieve(QUESTIONS[0])
            return changed, found

        changed, found = asyncio.run(run())
        assert changed == [False, True]
        assert found[0].node.ref_doc_id == "lighthouse"
        assert set(empty.ref_doc_info) == {"bakery", "lighthouse"}

    def test_persisting_and_configuration(self, index, tmp_path):
        index.persist(tmp_path / "copy")
        config = json.loads(json.dumps(index.to_config()))
        config["engine"]["path"] = str(tmp_path / "copy")
        again = EndogenousIndex.from_config(config)
        assert again.to_config() == config
        assert set(again.ref_doc_info) == set(TEXTS)
        found = [n.to_dict() for n in again.as_retriever().retrieve(QUESTIONS[0])]
        assert found == [n.to_dict() for n in index.as_retriever().retrieve(QUESTIONS[0])]

    def test_the_tutorials_way_to_persist(self, index, engine, tmp_path):
        index.storage_context.persist(persist_dir=str(tmp_path / "storage"))
        again = EndogenousIndex(Engine(engine.llm, engine.profile, tmp_path / "storage"))
        assert set(again.ref_doc_info) == set(TEXTS)

    def test_from_documents(self):
        with pytest.warns(UserWarning, match="MockEmbedding is not used") as warned:
            index = EndogenousIndex.from_documents(
                [document("museum")], profile=PROFILE, embed_model=MockEmbedding(embed_dim=2)
            )
        assert len([w for w in warned if "not used" in str(w.message)]) == 1
        found = [n.node for n in index.as_retriever(similarity_top_k=2).retrieve(QUESTIONS[2])]
        (node,) = [node for node in found if "nine euros" in node.text]
        assert node.relationships[NodeRelationship.SOURCE].node_id == "museum"

    def test_streaming_query_engine(self, index):
        engine = index.as_query_engine(streaming=True, similarity_top_k=1)
        answer = engine.query("Who built the lighthouse on Sandoy?")
        pieces = list(answer.response_gen)
        assert len(pieces) > 1
        assert "Maren Holt" in "".join(pieces)
        assert answer.source_nodes[0].node.ref_doc_id == "lighthouse"

    def test_chat_with_history(self, index):
        """The model turns the history into a question of its own."""
        index.llm.max_tokens = 32
        chat = index.as_chat_engine(chat_mode="condense_plus_context", similarity_top_k=1)
        chat.chat("Who built the lighthouse on Sandoy?")
        answer = chat.chat("When was the lighthouse on Sandoy built?")
        assert "1874" in str(answer)
        assert answer.source_nodes[0].node.ref_doc_id == "lighthouse"
        assert len(chat.chat_history) == 4

    def test_chat_engine(self, index):
        chat = index.as_chat_engine(chat_mode="context", similarity_top_k=1)
        answer = chat.chat("Who built the lighthouse on Sandoy?")
        assert "Holt" in str(answer)
        assert len(chat.chat_history) == 2
        pieces = list(chat.stream_chat("In which year?").response_gen)
        assert len(pieces) > 1


class ByWord(BaseSelector):
    """Chooses the tool whose description holds the question's last word."""

    def _get_prompts(self):
        return {}

    def _update_prompts(self, prompts):
        pass

    def _select(self, choices, query):
        word = query.query_str.split()[-1].strip("?")
        n = next(n for n, choice in enumerate(choices) if word in choice.description)
        return SelectorResult(selections=[SingleSelection(index=n, reason=word)])

    async def _aselect(self, choices, query):
        return self._select(choices, query)


class TestInEngines:
    def test_retriever_query_engine(self, index, llm):
        engine = RetrieverQueryEngine.from_args(index.as_retriever(k=1), llm=llm)
        answer = engine.query(QUESTIONS[0])
        assert "Maren Holt" in str(answer)
        assert str(asyncio.run(engine.aquery(QUESTIONS[0]))) == str(answer)

    def test_citation_query_engine(self, index, llm):
        engine = CitationQueryEngine.from_args(
            index, retriever=index.as_retriever(k=2), llm=llm, citation_chunk_size=128
        )
        answer = engine.query(QUESTIONS[0])
        assert answer.source_nodes[0].node.text.startswith("Source 1:")
        assert "Maren Holt" in answer.source_nodes[0].node.text

    def test_query_fusion(self, index, llm):
        retrievers = [index.as_retriever(k=3, mode=mode) for mode in ("bm25", "features")]
        fusion = QueryFusionRetriever(
            retrievers, llm=llm, num_queries=1, mode="reciprocal_rerank", similarity_top_k=2
        )
        found = fusion.retrieve(QUESTIONS[1])
        alone = [retriever.retrieve(QUESTIONS[1]) for retriever in retrievers]
        assert alone[0][0].node_id == alone[1][0].node_id == found[0].node_id
        assert found[0].score == pytest.approx(2 / 60)
        assert len(found) == 2

    def test_router(self, index, llm):
        tools = [
            QueryEngineTool.from_defaults(
                index.as_query_engine(llm=llm, filter={"topic": topic}),
                name=topic,
                description=word,
            )
            for topic, word in (("food", "café"), ("trains", "cost"))
        ]
        router = RouterQueryEngine.from_defaults(tools, llm=llm, selector=ByWord())
        sources = router.query(QUESTIONS[2]).source_nodes
        assert {n.node.ref_doc_id for n in sources} == {"museum"}

    def test_callbacks(self, engine):
        debug = LlamaDebugHandler(print_trace_on_end=False)
        manager = CallbackManager([debug])
        EndogenousRetriever(engine, callback_manager=manager).retrieve(QUESTIONS[0])
        assert debug.get_events()[0].payload == {"query_str": QUESTIONS[0]}


def test_metadata_filters(engine):
    def ids(**part):
        filters = MetadataFilters(filters=[MetadataFilter(**part)])
        return {
            n.node.ref_doc_id for n in EndogenousRetriever(engine, filters=filters).retrieve("a")
        }

    assert ids(key="year", value=1900, operator=FilterOperator.LT) == {"lighthouse"}
    found = EndogenousRetriever(
        engine,
        filter={"year": {"$gt": 1900}},
        filters=MetadataFilters(
            filters=[MetadataFilter(key="topic", value="FOO", operator="text_match_insensitive")]
        ),
    ).retrieve("lighthouse dough tickets")
    assert {n.node.ref_doc_id for n in found} == {"bakery"}


def test_a_configuration_makes_the_same_retriever(engine):
    filters = MetadataFilters(filters=[MetadataFilter(key="topic", value="sea")])
    made = EndogenousRetriever(engine, k=2, mode="bm25", filters=filters, max_tokens=None)
    config = json.loads(json.dumps(made.to_config()))
    again = EndogenousRetriever.from_config(config, engine=engine)
    assert again.to_config() == config
    assert again.filters == filters


def test_a_progress_bar_is_drawn_when_asked_for(engine, capsys):
    index = EndogenousIndex(Engine(engine.llm, engine.profile), show_progress=True)
    index.insert(document("bakery"))
    assert "reading: 100%" in capsys.readouterr().err


class TestPostprocessor:
    @pytest.fixture
    def cut(self, engine):
        return EndogenousPostprocessor(engine=engine, max_tokens=40)

    def test_cuts_nodes_to_spans(self, cut, engine):
        nodes = [
            NodeWithScore(node=TextNode(text=text, id_=name, metadata=METADATA[name]), score=0.1)
            for name, text in TEXTS.items()
        ]
        nodes.append(NodeWithScore(node=TextNode(text=" "), score=0.2))
        found = cut.postprocess_nodes(nodes, query_str=QUESTIONS[1])
        assert "14 hours" in found[0].text
        assert sum(engine.llm.count_tokens(n.text) for n in found) <= 40
        for scored in found:
            node = scored.node
            assert TEXTS[node.ref_doc_id][node.start_char_idx : node.end_char_idx] == node.text
        again = asyncio.run(cut.apostprocess_nodes(nodes, QueryBundle(QUESTIONS[1])))
        assert [n.node_id for n in again] == [n.node_id for n in found]
        assert engine.ids() == list(TEXTS)

    def test_in_a_query_engine(self, cut, index, llm):
        engine = index.as_query_engine(llm=llm, node_postprocessors=[cut])
        assert "Maren Holt" in str(engine.query(QUESTIONS[0]))

    def test_other_stores_metadata_are_no_hindrance(self, cut):
        """Such as MongoDB's object ids, which JSON does not know."""
        key = object()
        node = TextNode(text=TEXTS["bakery"], metadata={"_id": key}, id_="bakery")
        found = cut.postprocess_nodes([NodeWithScore(node=node)], query_str=QUESTIONS[1])
        assert any("14 hours" in n.text for n in found)
        assert found[0].node.metadata["_id"] is key

    def test_what_it_cannot_do(self, cut):
        assert cut.postprocess_nodes([], query_str=QUESTIONS[0]) == []
        with pytest.raises(InputError, match="question"):
            cut.postprocess_nodes([])

    def test_configuration(self, cut, engine):
        config = json.loads(json.dumps(cut.to_config()))
        assert config["max_tokens"] == 40
        assert EndogenousPostprocessor.from_config(config, engine=engine).to_config() == config
