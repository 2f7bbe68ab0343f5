"""One real engine for this folder, and texts that are hard on offsets."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3_retriever import Document, Engine
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile

DOCUMENTS = [
    Document(
        "lighthouse",
        "The lighthouse on Skerry Point was finished in 1887. Its lamp burned whale oil until "
        "1911, when it was converted to paraffin. The last keeper, Agnes Tullis, left in 1973 "
        "after the light had been automated. Today the tower houses a small weather station.",
        {"kind": "building", "year": 1887},
    ),
    Document(
        "bread",
        "Sourdough needs no bought yeast. Flour and water are left to ferment for about a week "
        "until wild yeasts and lactic bacteria make the dough rise. Bakers keep part of it as a "
        "starter for the next loaf. Salt slows the fermentation and strengthens the gluten.",
        {"kind": "food", "year": 2020},
    ),
    Document(
        "comet",
        "Comet Hargreave returns every 41 years. It was first seen by Lena Hargreave from Perth "
        "in 1902. Its tail points away from the sun because light and solar wind push the dust "
        "outward. The next return is expected in 2025.",
        {"kind": "sky", "year": 1902},
    ),
]

HARD_TEXTS = {
    "emoji": "She said 👩🏽‍🚀 hello 😀😀 and left. The flag 🇩🇪 was up. Then 🎉 it ended.",
    "cjk": "東京は日本の首都です。人口は約千四百万人。川が流れている。\n京都は古い都です。",
    "crlf": "First line.\r\nSecond line is here.\r\n\r\nA new paragraph.\r\n",
    "repeated": "The cat sat. The cat sat. The cat sat. The dog ran. The cat sat.",
    "one line": "word " * 3000,
    "no spaces": "x" * 5000,
    "markup": "| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('hi')\n```\n",
    "rtl": "مرحبا بالعالم. هذا نص قصير. שלום עולם.",
    "marks": "Cafe\u0301 au lait. Zalgo t\u0335\u0321e\u0336\u0322x\u0337t here.",
    "tiny": "a",
    "line ends": "One.\n\n\n\n\nTwo.\n\n\n \n\nThree.\n\n\n\n\n\n\n\n" * 5,
    "spaces": "   \n\t  leading and trailing   \n\n",
}


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The shipped one."""
    return Profile.load("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def engine(llm: TransformersModel, profile: Profile) -> Engine:
    """Three short documents in memory; tests must not change it."""
    engine = Engine(llm, profile)
    engine.add(DOCUMENTS)
    return engine


@pytest.fixture
def fresh(llm: TransformersModel, profile: Profile, tmp_path: Path) -> Engine:
    """An empty index on disk, around the same resident model."""
    return Engine(llm, profile, tmp_path / "index")
