"""What can be done with documents in PostgreSQL is what can be done with those in a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from s3_retriever.errors import IndexMismatchError, IndexStorageError, InputError
from s3_retriever.storage.documents import Documents
from s3_retriever.storage.index import Index
from s3_retriever.storage.postgres import upkeep
from s3_retriever.storage.postgres.check import problems
from s3_retriever.storage.postgres.documents import PostgresDocuments
from s3_retriever.storage.postgres.schema import VERSION
from s3_retriever.types import Document
from tests.postgres import Server
from tests.storage.conftest import code, random_card
from tests.storage.postgres.conftest import MakeDocuments

TEXTS = {n: f"Text {n} says " + "roses need water and sun. " * (1 + n % 9) for n in range(40)}
CODED = [code(f"{n}", text, seed=n, n=n, odd=bool(n % 2)) for n, text in TEXTS.items()]


@pytest.fixture(params=["one", "two"])
def documents(
    request: pytest.FixtureRequest, on_one_server: MakeDocuments, on_two_servers: MakeDocuments
) -> PostgresDocuments:
    """Forty documents of as many commits, some of them merged."""
    made = (on_one_server if request.param == "one" else on_two_servers)()
    for item in CODED:
        made.commit([item])
    return made


def test_many_commits_are_few_batches_and_look_like_one(
    documents: PostgresDocuments, on_one_server: MakeDocuments
) -> None:
    at_once = on_one_server()
    at_once.commit(CODED)
    embedded = Documents(Index(None, random_card()))
    embedded.commit(CODED)
    assert documents.describe()["batches"] < 30 < len(CODED)
    words = at_once.view.search.words("text 7 says roses")
    weights = [{n: 1.0 + n for n in range(20)}, {3: 2.0}]
    for one in (documents, at_once):
        search = one.view.search
        for found, expected in (
            (search.search_words(words, 50), embedded.view.search.search_words(words, 50)),
            (
                search.search_features(weights, 50),
                embedded.view.search.search_features(weights, 50),
            ),
        ):
            assert [h.score for h in found] == pytest.approx([h.score for h in expected], rel=1e-5)
            # of equal scores, the order of addition
            assert {h.tokens for h in found} == {h.tokens for h in expected}
        expected_df = embedded.view.search.document_frequencies(words)
        assert search.document_frequencies(words) == expected_df
        assert np.array_equal(one.view.df, embedded.view.df)
        assert list(problems(one.view)) == []


def test_compaction_loses_nothing_but_space(documents: PostgresDocuments) -> None:
    documents.delete([f"{n}" for n in range(0, 40, 3)])
    documents.commit([code("7", "Another text", seed=99)])
    before = documents.view
    ids = before.document_ids()
    words = before.search.words("text says roses another")
    hits = before.search.search_words(words, 99)
    assert list(problems(before)) == []
    done = documents.compact()
    assert done.segments[1] < done.segments[0]
    assert before.search.search_words(words, 99) == hits  # a question that is under way
    assert documents.ids() == ids == [*(f"{n}" for n in range(40) if n % 3 and n != 7), "7"]
    upkeep.compact(documents.tables, 0.0)
    view = documents.view
    assert {h.tokens for h in view.search.search_words(words, 99)} == {h.tokens for h in hits}
    assert view.n_tokens == sum(view.whole_document(i).last for i in ids)
    assert list(problems(view)) == []
    ((rows,),) = documents.tables.query("SELECT count(*) FROM documents")
    assert rows == len(ids)


def test_a_view_never_changes(documents: PostgresDocuments) -> None:
    view = documents.view
    words = view.search.words("text roses")
    hits, ids = view.search.search_words(words, 9), view.document_ids()
    documents.commit([code("3", "roses " * 9, seed=1), code("new", "roses", seed=2)])
    documents.delete(["4"])
    late = PostgresDocuments(documents.url, random_card()).view
    assert late.document_ids() == [*(i for i in ids if i not in ("3", "4")), "3", "new"]
    assert (view.search.search_words(words, 9), view.document_ids()) == (hits, ids)
    old, new = view.document("3"), late.document("3")
    assert old is not None and old.text == TEXTS[3]
    assert new is not None and new.text == "roses " * 9
    assert "4" in view and "4" not in late


def test_metadata_names_and_filters(documents: PostgresDocuments) -> None:
    assert documents.update_metadata({"1": {"new": [1.0, "é\0"]}, "nobody": {}}) == 1
    assert dict(documents.metadata())["1"] == {"new": [1.0, "é\0"]}
    assert documents.ids()[-1] == "1"
    with pytest.raises(InputError, match="document 1"):
        documents.update_metadata({"1": {"x": b"bytes"}})
    assert documents.rename({"2": "two", "nobody": "somebody"}) == 1
    with pytest.raises(InputError, match="another one"):
        documents.rename({"3": "two"})
    found = documents.get("two")
    assert found is not None and found.text == TEXTS[2]
    assert documents.ids_of_text(TEXTS[2]) == ["two"]
    assert documents.ids_of_text(TEXTS[2], {"odd": True}) == []
    assert documents.known([Document("two", TEXTS[2]), Document("3", "other")]) == {"two"}
    with pytest.raises(InputError, match="every document"):
        documents.delete_where({})
    assert documents.delete_where({"odd": True}) == 19
    assert len(documents) == 21 and "5" not in documents and "two" in documents
    assert list(problems(documents.view)) == []


def test_known_documents_get_their_metadata(documents: PostgresDocuments) -> None:
    same = Document("1", TEXTS[1], {"n": 1, "odd": True})
    other = Document("2", TEXTS[2], {"n": "two"})
    gone = Document("3", "not this text")
    done = documents.commit([code("new", "A new one")], [same, other, gone])
    assert (done.added, done.updated) == (("new",), ("2",))
    assert (done.unchanged, done.missed) == (("1",), (gone,))
    assert documents.view.metadata("2") == {"n": "two"}


def test_bundles_go_from_one_kind_to_the_other(
    documents: PostgresDocuments, on_one_server: MakeDocuments, tmp_path: Path
) -> None:
    assert documents.export_bundle(tmp_path / "a") == 40
    folder = Documents(Index(tmp_path / "index", random_card()))
    assert len(folder.import_bundle(tmp_path / "a").added) == 40
    folder.export_bundle(tmp_path / "b")
    again = on_one_server()
    again.commit([CODED[0]])
    report = again.import_bundle(tmp_path / "b")
    assert (len(report.added), report.updated) == (39, ("0",))
    assert again.ids() == folder.ids() == documents.ids()
    for doc_id in again.ids():
        (one,), (two,) = again.view.encoded([doc_id]), documents.view.encoded([doc_id])
        assert one.document == two.document
        for name in ("ids", "activations", "starts", "ends"):
            assert np.array_equal(getattr(one, name), getattr(two, name))
    with pytest.raises(IndexMismatchError, match="test-1"):
        on_one_server(random_card(1)).import_bundle(tmp_path / "b")
    with pytest.raises(InputError, match="no documents"):
        on_one_server().export_bundle(tmp_path / "c")


def test_what_makes_no_sense_says_so(documents: PostgresDocuments, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pg_dump"):
        documents.snapshot(tmp_path / "copy")


def test_profiles_and_weights_are_checked(postgres: Server) -> None:
    url = postgres.url(schema="checked")
    first = PostgresDocuments(url, random_card())
    first.commit([CODED[0]])
    with pytest.raises(IndexMismatchError, match="test-0") as caught:
        PostgresDocuments(url, random_card(1))
    assert "test-1" in str(caught.value)
    weighed = PostgresDocuments(url, random_card(), "a" * 64)
    weighed.commit([CODED[1]])
    with pytest.raises(IndexMismatchError, match="other weights"):
        PostgresDocuments(url, random_card(), "b" * 64)
    # another profile lives in another schema of the same database
    other = PostgresDocuments(postgres.url(schema="checked_2"), random_card(1))
    assert len(other) == 0 and len(first) == 2


def test_a_newer_release_is_named(postgres: Server) -> None:
    url = postgres.url(schema="newer")
    PostgresDocuments(url, random_card())
    postgres.execute(f"UPDATE newer.layout SET version = {VERSION + 1}")
    with pytest.raises(IndexMismatchError, match=f"version {VERSION + 1}.*pip install"):
        PostgresDocuments(url, random_card())


def test_namespaces_are_schemas(postgres: Server) -> None:
    documents = PostgresDocuments(postgres.url(schema="spaces"), random_card())
    team = PostgresDocuments(documents.namespace("team-a"), random_card())
    team.commit([CODED[0]])
    assert (documents.namespaces(), len(documents), len(team)) == (["team-a"], 0, 1)
    PostgresDocuments(postgres.url(schema="spaces2"), random_card())
    assert documents.namespaces() == ["team-a"]
    with pytest.raises(InputError, match="namespace"):
        documents.namespace("../x")


def test_a_role_that_may_only_read(postgres: Server) -> None:
    documents = PostgresDocuments(postgres.url(schema="readable"), random_card())
    documents.commit([CODED[0]])
    postgres.execute("CREATE ROLE reader LOGIN")
    postgres.execute("GRANT USAGE ON SCHEMA readable TO reader")
    postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA readable TO reader")
    url = str(documents.url).replace("postgres@", "reader@")
    reader = PostgresDocuments(url, random_card())
    assert reader.ids() == ["0"]
    with pytest.raises(IndexStorageError, match="cannot be written"):
        reader.check_writable()
    with pytest.raises(IndexStorageError, match="refuses"):
        reader.delete(["0"])


def test_damage_is_named(postgres: Server) -> None:
    documents = PostgresDocuments(postgres.url(schema="damaged"), random_card())
    documents.commit(CODED[:4])
    postgres.execute("UPDATE damaged.documents SET text = 'Other' WHERE id = '1'")
    postgres.execute(
        "DELETE FROM damaged.blocks WHERE place = (SELECT min(place) FROM damaged.blocks)"
    )
    fresh = PostgresDocuments(documents.url, random_card())
    with pytest.raises(IndexStorageError, match="document '1' is damaged"):
        fresh.get("1")
    found = " ".join(problems(fresh.view))
    assert "'1'" in found and "blocks" in found


def test_a_forked_child_has_its_own_connections(postgres: Server) -> None:
    program = """
import os, sys
from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.postgres.documents import PostgresDocuments
documents = PostgresDocuments(sys.argv[1], ProfileCard.model_validate_json(sys.argv[2]))
assert len(documents) == 0
child = os.fork()
for _ in range(50):
    assert documents.ids() == []
if not child:
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
    url = postgres.url(schema="forked")
    arguments = [sys.executable, "-c", program, url, random_card().model_dump_json()]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
