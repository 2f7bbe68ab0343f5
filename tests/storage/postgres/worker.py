"""A process that writes to an index and asks it, and says in the end what must be there.

Run as ``python -m tests.storage.postgres.worker URL NAME SECONDS CARD``.
"""

from __future__ import annotations

import json
import random
import sys
import time

from s3_retriever.profiles.card import ProfileCard
from s3_retriever.storage.postgres.documents import PostgresDocuments
from s3_retriever.testing.documents import encode_randomly

SHARED = [f"shared/{n}" for n in range(6)]


def text_of(name: str, number: int) -> str:
    return f"Written by {name} as number {number}. " + "Roses need water. " * (number % 30)


def main(url: str, name: str, seconds: float, card: str) -> None:
    chance = random.Random(name)
    documents = PostgresDocuments(url, ProfileCard.model_validate_json(card))
    mine: dict[str, str] = {}
    asked = 0
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        ids = [f"{name}/{chance.randrange(20)}", *chance.sample(SHARED, 2)]
        if chance.random() < 0.2:
            documents.delete(ids[:1])
            mine.pop(ids[0], None)
        else:
            text = text_of(name, number)
            coded = [encode_randomly(i, text, seed=number, by=name) for i in ids]
            documents.commit(coded)
            mine[ids[0]] = text
        for _ in range(2):
            view = documents.view
            hits = view.search.search_words(view.search.words("roses written water"), 8)
            tokens = view.tokens(view.merged([hit.tokens for hit in hits]))
            assert len(tokens) or not hits
            for hit in hits:
                document = view.document(hit.tokens.doc_id)
                assert document is not None
                assert document.text.startswith("Written by " + document.metadata["by"])
            asked += 1
    sys.stdout.write(json.dumps({"mine": mine, "asked": asked, "written": number}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
