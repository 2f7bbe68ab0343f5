"""What other vector stores and retrievers are used with: blanks, lone values, odd questions."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_core.messages import HumanMessage
from langchain_endogenous import (
    ChatEndogenous,
    EndogenousCompressor,
    EndogenousRetriever,
    EndogenousVectorStore,
)
from langchain_endogenous.documents import document_id

from s3_retriever.errors import InputError
from tests.integrations.small import BLANKS, small_engine

pytestmark = pytest.mark.usefixtures("one_thread")

OWLS, LARKS, STORKS = "Owls hunt at night.", "Larks sing at dawn.", "Storks fly to Africa."
CIRCLE = {}
CIRCLE["self"] = CIRCLE
BAD = [None, 7, "", " ", {}, {"question": None}, {"question": "a?", "input": "b?"}, ["a"]]
TEXTS = {
    "a": OWLS,
    "b": LARKS,
    "two": f"{OWLS} {LARKS}",
    "signs": "?!",
    "lines": f"{OWLS}\n\n{STORKS}\n",
    "long": " ".join(f"Owl {n} saw {n} larks." for n in range(200)),
}
METADATA = [{"source": "caf\udce9.txt"}, {(1, 2): 3}, {"_id": object()}, CIRCLE, {"t": {1}}]


@pytest.fixture
def engine(tmp_path):
    return small_engine(tmp_path)


@pytest.fixture
def store(engine):
    return EndogenousVectorStore(engine)


@pytest.fixture
def retriever(engine):
    return EndogenousRetriever(engine=engine)


class TestBlankPages:
    @pytest.mark.parametrize("cleanup", [None, "incremental", "full", "scoped_full"])
    @pytest.mark.parametrize("kind", ["store", "retriever"])
    def test_indexing_goes_on(self, store, retriever, kind, cleanup, caplog):
        target = {"store": store, "retriever": retriever}[kind]
        records = InMemoryRecordManager("test")
        records.create_schema()
        pages = [Document(t, metadata={"source": "a"}) for t in (OWLS, *BLANKS, LARKS)]
        options = {"cleanup": cleanup, "source_id_key": "source", "key_encoder": "sha256"}
        for _ in range(2):
            index(pages, records, target, batch_size=1, **options)
            assert len(target.engine) == 2
        told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(set(told)) == len(BLANKS)
        asyncio.run(aindex(pages[1:], records, target, batch_size=1, **options))
        assert len(target.engine) == (2 if cleanup is None else 1)

    @pytest.mark.parametrize("blank", BLANKS)
    def test_adding_tells(self, store, retriever, blank):
        for given in ([blank], [OWLS, blank], [blank, OWLS, LARKS]):
            ids = [f"id {n}" for n in range(len(given))]
            there = [i for i, text in zip(ids, given, strict=True) if text != blank]
            for added in (
                store.add_texts(given, ids=ids),
                asyncio.run(store.aadd_texts(given, ids=ids)),
                store.add_documents([Document(t) for t in given], ids=ids),
                asyncio.run(store.aadd_documents([Document(t) for t in given], ids=ids)),
                retriever.add_documents(
                    [Document(t, id=i) for t, i in zip(given, ids, strict=True)]
                ),
            ):
                assert added == there
                assert set(added.skipped) == set(ids) - set(there)
        blank_only = retriever.upsert([Document(blank, id="x")])
        assert blank_only == {"succeeded": [], "failed": ["x"]}


class TestOneWhereAListIsMeant:
    def test_texts(self, store):
        assert store.add_texts(OWLS, {"n": 1}, ids="ab") == ["ab"]
        assert store.add_documents(Document(LARKS, id="cd")) == ["cd"]
        assert store.add_texts((t for t in [STORKS]), ids=["ef"]) == ["ef"]
        assert [d.page_content for d in store.get_by_ids("ab")] == [OWLS]
        assert store.delete("cd")
        assert store.engine.ids() == ["ab", "ef"]
        for wrong in (None, 7, b"Owls"):
            with pytest.raises(InputError, match="must be a list"):
                store.add_texts(wrong)
        with pytest.raises(InputError, match="not a LangChain document"):
            store.add_documents([OWLS])

    def test_retriever(self, retriever):
        assert retriever.upsert(Document(OWLS, id="pp"))["succeeded"] == ["pp"]
        retriever.add_documents(Document(LARKS, id="p"))
        assert [d.id for d in retriever.get("pp")] == ["pp"]
        assert retriever.delete("pp")["succeeded"] == ["pp"]
        assert asyncio.run(retriever.adelete("zz"))["num_deleted"] == 0
        assert retriever.engine.ids() == ["p"]
        assert len(retriever.batch("When do larks sing?")) == 1

    def test_what_was_found_can_be_deleted(self, retriever, store):
        retriever.add_documents([Document(OWLS, id="a:0-5"), Document(LARKS, id="b")])
        found = {
            d.metadata["span_doc_id"]: d.id for d in retriever.invoke("larks", max_tokens=None)
        }
        assert retriever.delete(["b:9-9", "b:0-999", "b:5-2", "c:0-1"])["num_deleted"] == 0
        assert retriever.delete([found["b"]])["succeeded"] == [found["b"]]
        assert store.delete(["a:0-5"])
        assert retriever.engine.ids() == []


class TestWrongArguments:
    @pytest.mark.parametrize("given", [[1], [None], b"a", 5, [["a"]], {"a": 1}])
    def test_no_ids(self, store, given):
        for call in (store.delete, store.get_by_ids):
            with pytest.raises(InputError):
                call(given)

    @pytest.mark.parametrize("k", ["4", 0, -1, 2.5, None, True, float("nan")])
    def test_no_count(self, store, k):
        store.add_texts([OWLS])
        for search in (
            store.similarity_search,
            store.similarity_search_with_score,
            store.max_marginal_relevance_search,
        ):
            with pytest.raises(InputError):
                search("owls?", k=k)

    @pytest.mark.parametrize("share", ["a", None, -0.1, 1.5, float("nan"), True, [0.5]])
    def test_no_share(self, store, share):
        store.add_texts([OWLS])
        with pytest.raises(InputError, match="lambda_mult"):
            store.max_marginal_relevance_search("owls?", lambda_mult=share)
        with pytest.raises(InputError, match="lambda_mult"):
            asyncio.run(store.amax_marginal_relevance_search("owls?", lambda_mult=share))

    @pytest.mark.parametrize("wrong", [[], {}, "", 0, False, 3, "nothing"])
    @pytest.mark.parametrize("setting", ["mode", "scoring"])
    def test_no_name_of_a_setting(self, store, setting, wrong):
        store.add_texts([OWLS])
        with pytest.raises(InputError):
            store.similarity_search("owls?", **{setting: wrong})

    @pytest.mark.parametrize("given", [[None], [3], [b"x"], [OWLS, ["x"]], [{"a": 1}]])
    def test_no_texts(self, store, given):
        with pytest.raises(InputError, match="texts"):
            store.add_texts(given)

    @pytest.mark.parametrize("given", ["x", [3], [["x"]], [b"x"], 3])
    def test_no_metadata(self, store, given):
        with pytest.raises(InputError, match="metadatas"):
            store.add_texts([OWLS], metadatas=given)

    @pytest.mark.parametrize("given", [[["a"]], [b"x"], [{}], 3, {"a": 1}])
    def test_no_ids_to_add_under(self, store, given):
        with pytest.raises(InputError, match="ids"):
            store.add_texts([OWLS], ids=given)

    def test_not_as_many(self, store):
        with pytest.raises(InputError, match="give one for each"):
            store.add_texts([OWLS, LARKS], ids=["1"])
        with pytest.raises(InputError, match="give one for each"):
            store.add_texts([OWLS], metadatas=[{}, {}])

    @pytest.mark.parametrize("given", [None, 5, b"x", "text", ["text"], {"a": 1}, [None]])
    def test_no_documents_to_compress(self, engine, given):
        compressor = EndogenousCompressor(engine=engine)
        with pytest.raises(InputError):
            compressor.compress_documents(given, "owls?")
        with pytest.raises(InputError):
            asyncio.run(compressor.acompress_documents(given, "owls?"))

    @pytest.mark.parametrize(
        "wrong",
        [
            *({"max_tokens": n} for n in ("9", 0, -1, 2.5, True, b"9", float("nan"))),
            *({"temperature": t} for t in ("1", -1, float("nan"), float("inf"), True, [1])),
            *({"stop": s} for s in (5, [5], b"x", {"a": 1}, "", [""])),
        ],
        ids=str,
    )
    def test_no_settings_of_a_reply(self, engine, wrong):
        chat = ChatEndogenous(llm=engine.llm)
        with pytest.raises(InputError):
            chat.invoke("Hi.", **{"max_tokens": 2, **wrong})
        with pytest.raises(InputError):
            list(chat.stream("Hi.", **{"max_tokens": 2, **wrong}))

    @pytest.mark.parametrize("temperature", [1e-300, 1e-20, 1e30, 2])
    def test_any_temperature(self, engine, temperature):
        chat = ChatEndogenous(llm=engine.llm)
        assert chat.invoke("Hi.", max_tokens=2, temperature=temperature).content is not None

    def test_one_document_to_compress(self, engine):
        (found,) = EndogenousCompressor(engine=engine).compress_documents(Document(OWLS), "owls?")
        assert found.page_content == OWLS

    @pytest.mark.parametrize("spans", [True, False])
    def test_what_is_found_is_a_copy(self, engine, spans):
        store = EndogenousVectorStore(engine, spans=spans)
        store.add_texts([OWLS], metadatas=[{"tags": ["a"]}], ids=["owls"])
        ways = (
            lambda: store.similarity_search(OWLS, k=1),
            lambda: store.similarity_search("owls", k=1),
            lambda: store.max_marginal_relevance_search(OWLS, k=1),
            lambda: store.get_by_ids(["owls"]),
        )
        for way in ways:
            (found,) = way()
            assert found.metadata["tags"] == ["a"]
            found.metadata["tags"].append("b")


class TestQuestions:
    @pytest.fixture(autouse=True)
    def filled(self, retriever):
        retriever.add_documents([Document(OWLS, id="owls"), Document(LARKS, id="larks")])

    @pytest.mark.parametrize("key", ["question", "query", "input"])
    def test_the_usual_keys(self, retriever, key):
        asked = {key: "When do owls hunt?", "chat_history": [], "language": "en"}
        alone = retriever.invoke("When do owls hunt?")
        assert alone == retriever.invoke(asked) == asyncio.run(retriever.ainvoke(asked))
        assert retriever.batch([asked, "When do owls hunt?"]) == [alone, alone]
        assert asyncio.run(retriever.abatch([asked])) == [alone]

    @pytest.mark.parametrize("bad", BAD)
    def test_what_is_no_question(self, retriever, bad):
        with pytest.raises(InputError, match="question"):
            retriever.invoke(bad)
        with pytest.raises(InputError, match="question"):
            asyncio.run(retriever.ainvoke(bad))

    def test_errors_belong_to_their_question(self, retriever, store):
        asked = ["When do owls hunt?", *BAD, {"question": "When do larks sing?"}]
        for found in (
            retriever.batch(asked, return_exceptions=True),
            asyncio.run(retriever.abatch(asked, return_exceptions=True)),
        ):
            kinds = ["list", *["InputError"] * len(BAD), "list"]
            assert [type(f).__name__ for f in found] == kinds
        found = store.as_retriever().batch(["owls?", None], return_exceptions=True)
        assert [type(f).__name__ for f in found] == ["list", "InputError"]

    def test_a_conversation_without_messages(self, engine):
        chat = ChatEndogenous(llm=engine.llm, max_tokens=2)
        for ask in (chat.invoke, lambda m: list(chat.stream(m)), lambda m: chat.generate([m])):
            with pytest.raises(InputError, match="no messages"):
                ask([])
        with pytest.raises(InputError, match="no messages"):
            asyncio.run(chat.ainvoke([]))
        answers = chat.batch([[HumanMessage("Hi.")], []], return_exceptions=True)
        assert [type(a).__name__ for a in answers] == ["AIMessage", "InputError"]

    def test_one_stop_sequence(self, engine):
        chat = ChatEndogenous(llm=engine.llm, max_tokens=8)
        whole = chat.invoke("Owls").text
        stop = whole[len(whole) // 2 :]
        cut = whole[: whole.index(stop)]
        assert chat.invoke("Owls", stop=stop).text == chat.invoke("Owls", stop=[stop]).text == cut
        assert ChatEndogenous(llm=engine.llm, max_tokens=8, stop=stop).invoke("Owls").text == cut
        for wrong in ("", [""], [7], 7, {"a": "b"}):
            with pytest.raises(InputError, match="stop sequence"):
                chat.invoke("Owls", stop=wrong)


class TestStoredText:
    """A random model finds nothing well: what comes first here comes first by rule."""

    @pytest.fixture(params=["documents", "spans"])
    def filled(self, engine, request):
        store = EndogenousVectorStore(engine, spans=request.param == "spans")
        store.add_texts(TEXTS.values(), [{"n": n} for n in range(6)], ids=list(TEXTS))
        return store

    @pytest.mark.parametrize("name", TEXTS)
    @pytest.mark.parametrize("mode", ["fast", "features", "bm25"])
    def test_comes_first(self, filled, name, mode):
        text = TEXTS[name]
        for k in (1, 3):
            (best, score), *others = filled.similarity_search_with_score(text, k, mode=mode)
            assert (best.page_content, score) == (text, 1.0)
            assert all(rest <= 1 for _, rest in others)
        for found in (
            filled.similarity_search(text, mode=mode),
            filled.max_marginal_relevance_search(text, mode=mode),
            asyncio.run(filled.asimilarity_search(text, mode=mode)),
            [d for d, _ in filled.similarity_search_with_relevance_scores(text, mode=mode)],
            filled.as_retriever(search_kwargs={"mode": mode}).invoke(text),
        ):
            assert found[0].page_content == text

    def test_under_a_filter(self, filled):
        text = TEXTS["two"]
        found = filled.similarity_search(text, filter={"n": 2}, mode="fast")
        assert found[0].page_content == text
        others = filled.similarity_search(text, filter={"n": {"$ne": 2}}, mode="fast")
        assert text not in [d.page_content for d in others]

    def test_all_of_the_same_text(self, store):
        store.add_texts([LARKS, OWLS, OWLS, f"{OWLS} {OWLS}"], ids=["l", "one", "two", "twice"])
        found = store.similarity_search_with_score(OWLS, 4, mode="fast")
        assert {d.id for d, _ in found[:2]} == {"one", "two"}


class TestForeignDocuments:
    @pytest.mark.parametrize("metadata", METADATA)
    def test_are_compressed(self, engine, metadata):
        compressor = EndogenousCompressor(engine=engine, max_tokens=None)
        given = [Document(OWLS, id="0"), Document(LARKS, id="0"), Document(STORKS)]
        for document in given:
            document.metadata = metadata
        for found in (
            compressor.compress_documents(given, "Who hunts?"),
            asyncio.run(compressor.acompress_documents(given, "Who hunts?")),
        ):
            assert {d.page_content for d in found} == {OWLS, LARKS, STORKS}
            for document in found:
                assert all(document.metadata[key] is metadata[key] for key in metadata)

    @pytest.mark.parametrize("metadata", [METADATA[0], METADATA[1], METADATA[3]])
    def test_do_not_stop_a_batch(self, store, metadata):
        odd = Document(OWLS)
        odd.metadata = metadata
        assert document_id(odd) == document_id(odd)
        added = store.add_documents([odd, Document(LARKS, id="larks")])
        assert "larks" in added
        assert len(added) + len(added.skipped) == 2
