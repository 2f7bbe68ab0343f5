"""Conversations: questions that they answer, and questions that they do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3_retriever.errors import InputError
from s3_retriever.labels.datasets import load_collections, load_unanswerable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    text = "Ann: I moved to Oslo.\nBo: Good."
    turn = {"document": "session_1", "start": 0, "end": 21}
    records = [
        {
            "id": name,
            "documents": [{"id": "session_1", "text": text}],
            "questions": [
                {"id": f"{name}-1", "question": "Where to?", "answer": "Oslo", "evidence": [turn]},
                {"id": f"{name}-2", "question": "Bo's city?", "answer": "", "evidence": [turn]},
            ],
        }
        for name in ("c1", "c2")
    ]
    found = tmp_path / "locomo.jsonl"
    found.write_text("\n".join(map(json.dumps, records)))
    return found


def test_conversations_have_sessions_and_turns(path: Path) -> None:
    found = load_collections(path)
    assert [[d.id for d in c.documents] for c in found] == [["c1, session_1"], ["c2, session_1"]]
    (question,) = found[0].questions
    assert (question.id, question.answers) == ("c1-1", ("Oslo",))
    assert [found[0].text(place) for place in question.evidence] == ["Ann: I moved to Oslo."]


def test_a_corpus_is_one_collection(path: Path) -> None:
    (found,) = load_collections(path, setting="corpus")
    assert [d.id for d in found.documents] == ["c1, session_1", "c2, session_1"]
    assert [q.id for q in found.questions] == ["c1-1", "c2-1"]


def test_questions_without_an_answer_have_no_evidence(path: Path) -> None:
    found = load_unanswerable(path)
    assert [[q.id for q in c.questions] for c in found] == [["c1-2"], ["c2-2"]]
    assert all(q.evidence == () for c in found for q in c.questions)
    assert len(load_unanswerable(path, limit=1)) == 1


def test_other_formats_have_no_unanswerable_questions(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"paragraphs": []}')
    with pytest.raises(InputError, match="holds no questions without an answer"):
        load_unanswerable(path)
