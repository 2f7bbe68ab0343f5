"""Words meet, however they were typed, in whichever language, and however long they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.retrieval.legs.bm25 import BM25
from s3_retriever.search.analyzers import content_stems, stems
from s3_retriever.search.languages import LANGUAGES, document_language
from s3_retriever.search.tantivy import TantivyIndex
from s3_retriever.storage.segments import Segment
from s3_retriever.testing.legs import make_context
from s3_retriever.text import find_bounds
from s3_retriever.types import Document
from tests.storage.conftest import HOOKPOINTS, N_LATENTS, code

SPELLINGS = {
    "composed": ("caf\u00e9", "cafe\u0301"),
    "without accents": ("Zürich", "zurich"),
    "three marks": ("Việt", "Vie\u0323\u0302t"),
    "no composed form": ("x\u0302y", "xy"),
    "soft hyphen": ("co\u00adoperation", "cooperation"),
    "soft hyphen at a line end": ("co\u00ad\r\n  operation", "cooperation"),
    "zero width space": ("data\u200bbase", "database"),
    "zero width joiners": ("می\u200cخواهم", "میخواهم"),
    "word joiner and mark": ("\ufeffword\u2060ed", "worded"),
    "direction marks": ("\u200eword\u200f", "word"),
    "niqqud": ("שָׁלוֹם", "שלום"),
    "hebrew presentation": ("\ufb2a\ufb35", "שו"),
    "harakat": ("مُحَمَّد", "محمد"),
    "stretched": ("محـــمد", "محمد"),
    "arabic presentation": ("\ufee3\ufea4\ufee4\ufeaa", "محمد"),
    "two kinds of yeh": ("ایران", "ايران"),
    "stress": ("за\u0301мок", "замок"),
    "yo": ("ёлка", "елка"),
    "greek accents": ("Ἄνθρωπος", "ΑΝΘΡΩΠΟΣ"),
    "ligature": ("e\ufb03cient", "efficient"),
    "full width": ("ＡＢＣ１２", "abc12"),
    "half width": ("ｶﾞｽ", "ガス"),
    "sharp s": ("STRASSE", "straße"),
    "dotted i": ("İzmir", "izmir"),
    "variation selector": ("葛\U000e0100", "葛"),
    "nukta": ("\u0958लम", "\u0915\u093cलम"),
    "trade mark": ("Lamp™", "lamp"),
}
INFLECTED = {
    "ar": ("المكتبات", "المكتبة"),
    "da": ("husene", "huset"),
    "de": ("Häuser", "Haus"),
    "el": ("θάλασσες", "θάλασσα"),
    "en": ("running", "runs"),
    "es": ("canciones", "canción"),
    "fi": ("kirjoja", "kirjan"),
    "fr": ("nationales", "national"),
    "hu": ("házakban", "házak"),
    "it": ("bambini", "bambino"),
    "nl": ("katten", "kat"),
    "no": ("båtene", "båten"),
    "pt": ("livros", "livro"),
    "ro": ("caselor", "casele"),
    "ru": ("кораблями", "корабля"),
    "sv": ("båtarna", "båten"),
    "ta": ("வீடுகள்", "வீடு"),
    "tr": ("kitaplar", "kitabı"),
}
SAID = {
    "ar": "البيوت قريبة من الميناء وهي بيضاء",
    "da": "De ved ikke hvad der blev af husene ved havnen efter krigen.",
    "de": "Die Häuser stehen am Hafen und sind weiß.",
    "el": "Τα σπίτια είναι κοντά στο λιμάνι",
    "en": "The houses are near the harbour, and all of them are white.",
    "es": "Las casas están cerca del puerto y son blancas.",
    "fi": "Talot ovat sataman vieressä ja ne ovat valkoisia.",
    "fr": "Les maisons sont près du port et elles sont blanches.",
    "hu": "A házak a kikötő mellett vannak és fehérek.",
    "it": "Le case sono vicino al porto e sono bianche.",
    "nl": "De huizen staan bij de haven en zijn wit.",
    "no": "De vet ikke hva som ble av husene ved havnen etter krigen.",
    "pt": "As casas ficam perto do porto e são brancas.",
    "ro": "Casele sunt lângă port și sunt albe.",
    "ru": "Дома стоят у порта",
    "sv": "Husen ligger vid hamnen och är vita.",
    "ta": "வீடுகள் துறைமுகத்தின் அருகில் உள்ளன",
    "tr": "Evlerin hepsi limana yakın ve çok beyaz bir renk.",
}
LONG = {
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "sha512": "ee26b0dd4af7e749aa1a8ee3c10ae9923f618980772e473f8819a5d4940e0db2" * 2,
    "url": "https://example.org/" + "a1b2c3d4" * 20 + "?token=" + "ZyXw" * 30,
    "33 cyrillic letters": "рентгеноэлектрокардиографического",
    "german": "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz" * 2,
    "thai": "กรุงเทพมหานครอมรรัตนโกสินทร์มหินทรายุธยา",
    "base64": "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 60,
    "a whole page": "x1y2z3" * 2000,
    "64": "k" * 63 + "q",
    "65": "k" * 64 + "q",
}


def index_of(texts: Mapping[str, str], **metadata: Any) -> tuple[Segment, TantivyIndex]:
    coded = [code(i, text, seed=n, **metadata) for n, (i, text) in enumerate(texts.items())]
    segment = Segment.build("00000001-aaaaaaaa", coded, N_LATENTS)
    index = TantivyIndex.open(None, HOOKPOINTS, N_LATENTS)
    with index.changing() as writer:
        writer.add(segment.blocks())
    return segment, index.renewed()


def found(texts: Mapping[str, str], question: str, **metadata: Any) -> list[str]:
    segment, index = index_of(texts, **metadata)
    hits = index.search_words(index.words(question), 9)
    owners = [segment.entries[segment.block_owner[hit.number]].id for hit in hits]
    return list(dict.fromkeys(owners))


@pytest.mark.parametrize("case", SPELLINGS)
@pytest.mark.parametrize("turned", [False, True])
def test_spellings_of_a_word_meet(case: str, turned: bool) -> None:
    text, question = SPELLINGS[case][:: -1 if turned else 1]
    texts = {"wanted": f"some {text} here", "other": "else nowhere"}
    assert found(texts, f"where is {question}?") == ["wanted"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=200, deadline=None)
def test_forms_of_unicode_are_one(text: str) -> None:
    forms = {form: stems(normalize(form, text), "xx") for form in ("NFC", "NFD")}
    assert forms["NFC"] == forms["NFD"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_forms_of_a_word_meet_in_every_language(language: str) -> None:
    text, asked = INFLECTED[language]
    assert stems(text, language) == stems(asked, language)
    texts = {"wanted": f"1 {text} 2", "other": "3 4"}
    assert found(texts, asked, language=language) == ["wanted"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_told_by_its_text(language: str) -> None:
    assert document_language({}, SAID[language]) == language


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"lang": "de-AT"}, "de"),
        ({"language": "nb"}, "no"),
        ({"language": "deu"}, "de"),
        ({"language": "pl"}, "pl"),
        ({"language": "en"}, "en"),
        ({"language": "German"}, "fr"),
        ({"language": None}, "fr"),
    ],
)
def test_what_metadata_name_comes_first(metadata: dict[str, Any], language: str) -> None:
    assert document_language(metadata, SAID["fr"]) == language


@pytest.mark.parametrize(
    "text",
    [
        "Café au lait in Köln",
        "Man over board in Rome",
        "",
        "x = 1",
        "Die Hard is a film",
        "東京",
        "ภาษา",
    ],
)
def test_what_shows_no_language_is_read_as_before(text: str) -> None:
    assert document_language({}, text) == "en"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Wo stehen die Häuser?", ["stehen", "hauser", "steh", "haus"]),
        ("Where did he die?", ["where", "did", "he", "die", "wher"]),
        ("der die das", ["der", "die", "das"]),
    ],
)
def test_stop_words_are_those_of_the_questions_language(
    question: str, words: Sequence[str]
) -> None:
    assert content_stems(question, ["en", "de"]) == words


def test_an_index_of_several_languages_is_asked_in_each() -> None:
    texts = {"de": SAID["de"], "fr": SAID["fr"], "en": "Red roses need water", "plain": "Haus"}
    assert found(texts, "Haus")[:2] in (["de", "plain"], ["plain", "de"])
    assert found(texts, "la maison blanche")[0] == "fr"
    assert found(texts, "watering a rose") == ["en"]


def test_an_english_index_is_asked_as_it_always_was() -> None:
    _, index = index_of({"a": "Red roses need water and sun"})
    assert index.words("Does the rose need the sun?") == [
        "doe",
        "the",
        "rose",
        "need",
        "the",
        "sun",
    ]
    assert index.words("Häuser", "de") == ["hauser"]  # no document of it is in German


def test_sentences_are_scored_in_their_documents_language() -> None:
    texts = {"de": "Es schneit oft. Die Häuser stehen am Hafen und sind weiß. Das ist so."}
    context = make_context(texts, "Welches Haus?", weights={"bm25": 1.0})
    best = BM25().propose(context)[0]
    assert context.store.text(best.ref) == "Die Häuser stehen am Hafen und sind weiß."


@pytest.mark.parametrize("before", ["", "word " * 61, "word " * 63, "word " * 200])
@pytest.mark.parametrize("name", LONG)
def test_no_word_is_too_long_to_be_found(name: str, before: str) -> None:
    texts = {"wanted": f"{before}it is {LONG[name]} here", "other": "nothing else is there"}
    question = LONG[name] if len(LONG[name]) < 2000 else LONG[name][:600]
    assert found(texts, question)[0] == "wanted"


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("name", ["sha512", "base64", "a whole page", "german"])
def test_nor_is_one_that_many_blocks_share(name: str, size: int) -> None:
    text = f"it is {LONG[name]} here"
    starts = np.arange(0, len(text), size, dtype=np.uint32)
    whole = code("wanted", "word " * (len(starts) - 1) + "word")
    cut = replace(
        whole,
        document=Document("wanted", text),
        starts=starts,
        ends=np.minimum(starts + size, len(text)).astype(np.uint32),
        bounds=find_bounds(text),
    )
    segment = Segment.build("00000001-aaaaaaaa", [cut], N_LATENTS)
    index = TantivyIndex.open(None, HOOKPOINTS, N_LATENTS)
    with index.changing() as writer:
        writer.add(segment.blocks())
    index = index.renewed()
    for word in index.words(LONG[name]):
        assert index.document_frequency(word) > 0


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("ภาษาไทยเป็นภาษาที่มีระดับเสียง", "ภาษาไทย"),
        ("ភាសាខ្មែរជាភាសាផ្លូវការ", "ភាសាខ្មែរ"),
        ("ພາສາລາວເປັນພາສາທາງການ", "ພາສາລາວ"),
        ("မြန်မာဘာသာစကားသည်", "မြန်မာ"),
        ("東京は日本の首都である", "首都"),
        ("ガスの匂いがする", "ｶﾞｽ"),
        ("𠮷野家の牛丼", "𠮷"),
        ("हिन्दी भाषा में लिखा", "हिन्दी"),
    ],
)
def test_words_without_spaces_are_found(text: str, question: str) -> None:
    assert found({"wanted": text, "other": "1 2 3"}, question) == ["wanted"]
