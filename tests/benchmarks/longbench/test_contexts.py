"""Text methods: what is kept, in which order, at what price."""

from __future__ import annotations

import pytest
from s3_retriever_bench.longbench.contexts import TEXT_METHODS, Shortener, _merged
from s3_retriever_bench.longbench.records import Record
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.s3 import S3Hybrid, S3Pure

from s3_retriever import Engine
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.settings import Mode
from s3_retriever.types import Document

FACTS = (
    "The lighthouse on Skerry Point was finished in 1887 by the engineer Ada Quill.",
    "Sourdough needs no bought yeast; flour and water are left to ferment for a week.",
    "The ferry to the island leaves at noon, except on Sundays, when it does not run.",
    "Bees sleep five to eight hours a day, and they like to sleep close to other bees.",
)
TEXT = "\n\n".join(f"{fact} {'Nothing else is known of it, they say. ' * 6}" for fact in FACTS)
RECORD = Record("1", "hotpotqa", "Who built the lighthouse on Skerry Point?", TEXT, ("Ada Quill",))


@pytest.mark.parametrize("name", ["bm25", "rag-dense", "s3-hybrid", "s3"])
def test_the_answer_is_kept_within_the_budget(engine: Engine, name: str) -> None:
    found = Shortener(engine).shorten(RECORD, name, 90)
    assert "Ada Quill" in found.text
    assert found.n_tokens == engine.llm.count_tokens(found.text) <= 90
    assert found.scan_s > 0
    assert found.retrieve_s > 0


def test_pieces_stand_in_the_order_of_the_text_and_breaks_are_paid_for(engine: Engine) -> None:
    collection = Collection((Document("d", "One. Two. Three."),), ())
    best_last = [Place("d", 10, 16), Place("d", 0, 4)]
    shortener, count = Shortener(engine), engine.llm.count_tokens
    pieces = count("One.") + count("Three.")
    assert shortener._filled(collection, best_last, pieces + 1) == ("One.\nThree.", pieces + 1)
    assert shortener._filled(collection, best_last, pieces) == ("One\nThree.", pieces)  # cut


def test_the_last_piece_is_cut_to_the_budget_at_a_word(engine: Engine) -> None:
    text = "Ada Quill built the lighthouse. " + "It is unforgettable. " * 40
    collection = Collection((Document("d", text),), ())
    first = Place("d", 0, text.index(" It"))
    rest = Place("d", text.index("It"), len(text))
    shortener, count = Shortener(engine), engine.llm.count_tokens
    for budget in range(count(text[:31]), 60):
        kept, n_tokens = shortener._filled(collection, [first, rest], budget)
        assert text.startswith(kept)
        assert n_tokens == count(kept) <= budget
        assert kept[-1] in ".tse"  # of "It", "is", "unforgettable"
        assert budget - n_tokens < count(" unforgettable.") + 1


@pytest.mark.timeout(60)
def test_a_cut_among_tokens_of_one_character_ends(engine: Engine) -> None:
    text = "Royal Blood was released in Japan as ロイヤルブラッド, 𒀀𒀁𒀂 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿"
    collection = Collection((Document("d", text),), ())
    shortener, count = Shortener(engine), engine.llm.count_tokens
    for budget in range(1, count(text) + 1):
        kept, n_tokens = shortener._filled(collection, [Place("d", 0, len(text))], budget)
        assert text.startswith(kept)
        assert n_tokens == count(kept) <= budget


def test_what_all_of_it_costs_buys_all_of_it(engine: Engine) -> None:
    assert Shortener(engine).shorten(RECORD, "bm25", 10_000).text == TEXT


def test_a_summary_asks_its_instruction_with_the_published_kernel(engine: Engine) -> None:
    shortener = Shortener(engine)
    summary = Record("2", "gov_report", "", TEXT, ("Light.",))
    assert shortener.shorten(summary, "s3-hybrid", 90).n_tokens > 45
    wide = shortener.method("s3-hybrid", summary, 90)
    narrow = shortener.method("s3-hybrid", RECORD, 90)
    assert isinstance(wide, S3Hybrid)
    assert isinstance(narrow, S3Hybrid)
    assert wide.settings.density.kernel == 48
    assert narrow.settings.density.kernel == 8
    assert S3Pure.settings.density.kernel == 8


@pytest.mark.parametrize("name", ["s3", "s3-fast"])
def test_s3_keeps_what_compress_keeps(engine: Engine, name: str) -> None:
    mode: Mode = "hybrid" if name == "s3" else "fast"
    kept = engine.compress(RECORD.input, TEXT, 96, mode=mode)
    chosen = Shortener(engine).shorten(RECORD, name, 96).text
    assert TEXT[:10] in chosen  # the lead, no part of which answers
    assert sum(span.text.strip() in chosen for span in kept.spans) >= len(kept.spans) - 1  # one cut


def test_several_methods_scan_once(engine: Engine) -> None:
    shortener = Shortener(engine)
    shortener.shorten(RECORD, "s3-pure", 100)
    index = shortener.method("s3-pure", RECORD, 90).index  # type: ignore[attr-defined]
    shortener.shorten(RECORD, "s3-fast", 100)
    assert shortener.method("s3-fast", RECORD, 90).index is index  # type: ignore[attr-defined]


def test_depths_are_the_published_ones() -> None:
    depths = {name: method.depth for name, method in TEXT_METHODS.items() if method.depth}
    assert depths == {"rag-dense": 100, "rag-rerank": 40, "hyde-rerank": 40}


def test_missing_weights_are_said(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def refuse(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    for name in ("rag-rerank", "hyde-rerank"):
        with pytest.raises(MethodUnavailable, match="bge-reranker-v2-m3"):
            Shortener(engine).shorten(RECORD, name, 100)


def test_neighbours_become_one_piece() -> None:
    collection = Collection((Document("d", "One. Two.\n\nThree. Four."),), ())
    one, two, four = Place("d", 0, 4), Place("d", 5, 9), Place("d", 18, 23)
    assert list(_merged([one, two, four], collection)) == [Place("d", 0, 9), four]
    assert list(_merged([], collection)) == []
