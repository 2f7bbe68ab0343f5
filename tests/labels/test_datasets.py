"""The formats, on records small enough to be checked by eye."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3_retriever.errors import InputError
from s3_retriever.labels.collections import Collection, Place, Question, Setting
from s3_retriever.labels.datasets import load_collections

LIGHT = {
    "title": "Light",
    "text": "It was built. It was kept by Agnes Tullis. It was built.",
    "sentences": ["It was built.", " It was kept by Agnes Tullis.", " It was built."],
    "is_supporting": True,
    "supporting_sents": [1, 2],
}
BREAD = {
    "title": "Bread",
    "text": "Bread rises.",
    "sentences": ["Bread rises."],
    "is_supporting": False,
    "supporting_sents": [],
}
OTHER_LIGHT = {"title": "Light", "text": "   One here. Two\u2028there.", "is_supporting": True}
KEPT = {
    "id": "q1",
    "question": "Who kept the light?",
    "answers": ["Agnes Tullis"],
    "paragraphs": [LIGHT, BREAD],
}
OTHER = {"id": 2, "question": "What else?", "answers": [], "paragraphs": [BREAD, OTHER_LIGHT]}
NO_GOLD = {"id": 3, "question": "What?", "answers": [], "paragraphs": [BREAD]}

MEETING = {
    "meeting_transcripts": [
        {"speaker": "Ann", "content": "Shall we paint it ?"},
        {"speaker": "Bob", "content": " Red . "},
        {"speaker": "Ann", "content": ""},
        {"speaker": "Bob", "content": "Or blue ."},
    ],
    "specific_query_list": [
        {"query": "Colours?", "answer": "Both.", "relevant_text_span": [["1", "3"], ["1", "1"]]},
        {"query": "Silence?", "answer": "None.", "relevant_text_span": [["2", "2"]]},
        {"query": "Paint?", "answer": "Yes.", "relevant_text_span": [["0", "0"]]},
    ],
}

SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Comet",
            "paragraphs": [
                {
                    "context": "A comet came in 41. Lena saw it in 1902. It left.",
                    "qas": [
                        {
                            "id": "when",
                            "question": "When was it seen?",
                            "answers": [
                                {"text": "1902", "answer_start": 35},
                                {"text": "in", "answer_start": 13},
                                {"text": "1902", "answer_start": 35},
                            ],
                        },
                        {"id": "never", "question": "Impossible?", "answers": []},
                    ],
                },
                {
                    "context": "Its tail is long. It points away.",
                    "qas": [
                        {
                            "id": "where",
                            "question": "Where does it point?",
                            "answers": [{"text": "away", "answer_start": 28}],
                        }
                    ],
                },
            ],
        },
        {"title": "Bread", "paragraphs": [{"context": "Bread rises.", "qas": []}]},
    ],
}


def write(path: Path, *records: Any) -> Path:
    path.write_text(
        "\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n",
        encoding="utf-8",
    )
    return path


def load(
    tmp_path: Path, *records: Any, setting: Setting = "distractor", **draw: Any
) -> list[Collection]:
    return load_collections(write(tmp_path / "data.jsonl", *records), setting=setting, **draw)


def evidence(collection: Collection, question: Question) -> list[str]:
    return [collection.text(place) for place in question.evidence]


def test_a_record_becomes_one_context_with_gold_places(tmp_path: Path) -> None:
    collection, _ = load(tmp_path, KEPT, NO_GOLD, OTHER)
    (document,) = collection.documents
    assert document.text == f"Light\n{LIGHT['text']}\n\nBread\nBread rises."
    (question,) = collection.questions
    assert (question.id, question.answers) == ("q1", ("Agnes Tullis",))
    assert evidence(collection, question) == ["It was kept by Agnes Tullis.", "It was built."]
    assert question.evidence[1].start > question.evidence[0].end  # the second one of the twins
    assert [collection.text(p) for p in collection.passages][1] == "Bread\nBread rises."
    assert question.gold_passages == collection.passages[:1]


def test_where_sentences_are_not_labelled_all_of_the_paragraph_are_gold(tmp_path: Path) -> None:
    (collection,) = load(tmp_path, OTHER)
    (question,) = collection.questions
    assert evidence(collection, question) == ["One here.", "Two\u2028there."]
    assert question.gold_passages == collection.passages[1:]


def test_a_corpus_has_each_paragraph_once_under_its_own_id(tmp_path: Path) -> None:
    (collection,) = load(tmp_path, KEPT, OTHER, setting="corpus")
    assert [d.id for d in collection.documents] == ["Light", "Bread", "Light (2)"]
    assert collection.texts["Bread"] == "Bread\nBread rises."
    first, second = collection.questions
    assert evidence(collection, first) == ["It was kept by Agnes Tullis.", "It was built."]
    assert evidence(collection, second) == ["One here.", "Two\u2028there."]
    assert second.gold_passages == (Place("Light (2)", 0, len(collection.texts["Light (2)"])),)
    assert set(first.gold_passages + second.gold_passages) < set(collection.passages)


def test_a_paragraph_twice_in_a_record_is_gold_once_in_a_corpus(tmp_path: Path) -> None:
    twice = {**KEPT, "paragraphs": [LIGHT, BREAD, LIGHT]}
    (distractor,) = load(tmp_path, twice)
    (corpus,) = load(tmp_path, twice, setting="corpus")
    assert len(distractor.questions[0].evidence) == 4
    assert len(corpus.questions[0].evidence) == 2
    assert len(corpus.questions[0].gold_passages) == 1


def test_the_draw_is_repeatable_and_comes_before_the_corpus(tmp_path: Path) -> None:
    paragraph = {"text": "One here.", "is_supporting": True}
    records = [
        {"id": n, "question": "q", "answers": [], "paragraphs": [{**paragraph, "title": f"T{n}"}]}
        for n in range(20)
    ]
    drawn = load(tmp_path, *records, limit=5, seed=1)
    ids = [c.questions[0].id for c in drawn]
    assert len(set(ids)) == 5
    assert [c.questions[0].id for c in load(tmp_path, *records, limit=5, seed=1)] == ids
    assert [c.questions[0].id for c in load(tmp_path, *records, limit=5, seed=2)] != ids
    assert [c.questions[0].id for c in load(tmp_path, *records, limit=20)] == list(
        map(str, range(20))
    )
    (corpus,) = load(tmp_path, *records, limit=5, seed=1, setting="corpus")
    assert [d.id for d in corpus.documents] == [f"T{i}" for i in ids]


def test_turns_are_the_evidence_of_a_meeting(tmp_path: Path) -> None:
    first, second = load(tmp_path, MEETING, MEETING)
    (document,) = first.documents
    assert document.text == "Ann: Shall we paint it ?\nBob: Red .\nAnn: \nBob: Or blue .\n"
    colours, paint = first.questions  # the silent turn is no evidence
    assert evidence(first, colours) == ["Red .", "Or blue ."]
    assert evidence(first, paint) == ["Shall we paint it ?"]
    assert (colours.answers, colours.gold_passages, first.passages) == ((), (), ())
    (corpus,) = load(tmp_path, MEETING, MEETING, setting="corpus")
    assert len(corpus.documents) == 2
    assert corpus.questions == first.questions + second.questions
    assert len({question.id for question in corpus.questions}) == 4


def test_squad_evidence_is_the_sentence_most_answers_begin_in(tmp_path: Path) -> None:
    (article,) = load(tmp_path, SQUAD)
    assert [d.id for d in article.documents] == ["Comet"]
    when, where = article.questions
    assert when.answers == ("1902", "in")
    assert evidence(article, when) == ["Lena saw it in 1902."]
    assert evidence(article, where) == ["It points away."]
    assert article.text(where.gold_passages[0]) == "Its tail is long. It points away."
    assert [article.text(p)[:7] for p in article.passages] == ["A comet", "Its tai"]


def test_squad_paragraphs_are_the_documents_of_a_corpus(tmp_path: Path) -> None:
    (corpus,) = load(tmp_path, SQUAD, setting="corpus")
    assert [d.id for d in corpus.documents] == ["Comet, paragraph 1", "Comet, paragraph 2"]
    assert evidence(corpus, corpus.questions[1]) == ["It points away."]
    assert corpus.questions[1].gold_passages == corpus.passages[1:]
    (drawn,) = load(tmp_path, SQUAD, setting="corpus", limit=1)
    assert len(drawn.questions) == 1
    assert len(drawn.documents) == 2  # the whole article


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    write(
        folder / "corpus.jsonl",
        {"_id": "d1", "title": "Light", "text": "It was built."},
        {"_id": "d2", "title": "", "text": "Bread rises."},
        {"_id": "d3", "title": "", "text": ""},
    )
    write(
        folder / "queries.jsonl",
        {"_id": "q1", "text": "light"},
        {"_id": "q2", "text": "only irrelevant ones"},
        {"_id": "q3", "text": "not judged"},
    )
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t1\nq1\td3\t1\nq2\td2\t0\n"
    )
    return folder


def test_a_beir_folder_is_one_graded_collection(beir: Path) -> None:
    (collection,) = load_collections(beir, setting="corpus")
    assert collection.texts == {"d1": "Light\nIt was built.", "d2": "Bread rises."}
    (question,) = collection.questions
    assert (question.id, question.text) == ("q1", "light")
    assert question.grades == {"d1": 2, "d2": 1}
    assert question.evidence == ()
    with pytest.raises(InputError, match="corpus setting only"):
        load_collections(beir)


def test_a_damaged_beir_folder_is_refused(beir: Path) -> None:
    qrels = beir / "qrels" / "test.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\nq1 d1 2\n")
    with pytest.raises(InputError, match=r"test\.tsv, record 1"):
        load_collections(beir, setting="corpus")
    qrels.unlink()
    with pytest.raises(InputError, match=r"test\.tsv cannot be read"):
        load_collections(beir, setting="corpus")


def test_judgements_may_be_records(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").unlink()
    judged = ({"query-id": "q1", "corpus-id": "d2", "score": 1},)
    write(beir / "qrels.jsonl", *judged, {"query-id": "q3", "corpus-id": "d1", "score": 0})
    (collection,) = load_collections(beir, setting="corpus")
    assert [(q.id, q.grades) for q in collection.questions] == [("q1", {"d2": 1})]
    write(beir / "qrels.jsonl", *judged, {"query-id": "q1"})
    with pytest.raises(InputError, match=r"qrels\.jsonl, record 2: no BEIR judgement"):
        load_collections(beir, setting="corpus")


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    (tmp_path / "light.md").write_bytes(b"It was built.\r\nAgnes kept it. It shone.")
    (tmp_path / "bread.md").write_text("Bread rises.")
    write(
        tmp_path / "questions.jsonl",
        spanned("light-0", (15, 29), (30, 39)),
        spanned("bread-0", (0, 5)),
        spanned("light-1", (0, 13)),
        spanned("light-2"),
    )
    return tmp_path


def spanned(name: str, *evidence: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": name,
        "document": name.split("-")[0],
        "question": f"{name}?",
        "evidence": [{"start": start, "end": end} for start, end in evidence],
    }


def test_spans_are_characters_of_the_files_as_they_are(spans: Path) -> None:
    light, bread = load_collections(spans)
    assert [q.id for q in light.questions] == ["light-0", "light-1"]
    first, second = light.questions
    assert evidence(light, first) == ["Agnes kept it.", "It shone."]
    assert evidence(light, second) == ["It was built."]
    assert evidence(bread, bread.questions[0]) == ["Bread"]
    assert list(bread.texts) == ["bread"]
    assert load_collections(spans / "questions.jsonl") == [light, bread]


def test_a_corpus_of_spans_has_all_documents(spans: Path) -> None:
    (collection,) = load_collections(spans, setting="corpus", limit=1)
    assert list(collection.texts) == ["light", "bread"]
    assert len(collection.questions) == 1


def test_a_span_outside_its_document_is_refused(spans: Path) -> None:
    write(spans / "questions.jsonl", spanned("bread-0", (0, 13)))
    with pytest.raises(InputError, match=r"record 1: .*0 to 13 is no span of bread.*12 char"):
        load_collections(spans)
    write(spans / "questions.jsonl", spanned("oven-0", (0, 13)))
    with pytest.raises(InputError, match=r"oven\.md cannot be read"):
        load_collections(spans)


def conversation(name: str, text: str) -> dict[str, Any]:
    turn = {"document": "session_2", "start": 0, "end": len(text)}
    asked = {"id": f"{name}-0", "question": "What?", "answer": "Red", "category": "single-hop"}
    return {
        "id": name,
        "documents": [{"id": "session_1", "text": "Hi."}, {"id": "session_2", "text": text}],
        "questions": [
            {**asked, "evidence": [turn, turn]},
            {**asked, "id": f"{name}-1", "answer": "", "evidence": [turn]},
            {**asked, "id": f"{name}-2", "evidence": []},
        ],
    }


def test_a_conversation_is_a_collection_of_its_sessions(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    write(path, conversation("one", "Ann: Red."), conversation("two", "Bob: Red!"))
    one, two = load_collections(path)
    assert one.texts == {"one, session_1": "Hi.", "one, session_2": "Ann: Red."}
    (question,) = one.questions
    assert (question.id, question.text, question.answers) == ("one-0", "What?", ("Red",))
    assert evidence(one, question) == ["Ann: Red."]
    (joined,) = load_collections(path, setting="corpus")
    assert joined.documents == one.documents + two.documents
    assert joined.questions == one.questions + two.questions
    (drawn,) = load_collections(path, limit=1)
    assert drawn in (one, two)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no known format"),
        ("not json\n", "line 1 is not JSON"),
        (json.dumps(KEPT) + "\n\n{broken\n", "line 3 is not JSON"),
        ('{"id": 1}\n', "no known format"),
        ("[]\n", "no known format"),
        (json.dumps(KEPT) + '\n{"id": 1}\n', "record 2: no multi-hop record"),
        (json.dumps(NO_GOLD), "no question with gold evidence"),
        ('{"meeting_transcripts": [{"speaker": "Ann"}]}', "record 1: no QMSum meeting"),
        ('{"data": [{"title": "Comet"}]}', "record 1: no SQuAD article"),
        ('{"documents": [{"id": "a"}]}', "record 1: no LoCoMo conversation"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_collections(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.jsonl cannot be read"):
        load_collections(tmp_path / "missing.jsonl")
