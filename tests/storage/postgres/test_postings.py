"""Postings, against counting them one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from s3_retriever.storage.postgres.codec import term_of_word, word_bits
from s3_retriever.storage.postgres.postings import (
    FEATURES,
    WORDS,
    Kind,
    Postings,
    feature_postings,
    merged,
    posting_rows,
    word_postings,
)

N_LATENTS = 4096
BITS = (2 * N_LATENTS - 1).bit_length()


def naive(pairs: Counter[tuple[int, int]]) -> list[tuple[int, int, int]]:
    return sorted((term, block, n) for (term, block), n in pairs.items())


def listed(postings: Postings) -> list[tuple[int, int, int]]:
    columns = postings.terms, postings.blocks, postings.counts
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("variety", [5, 300, N_LATENTS])
@pytest.mark.parametrize("sizes", [(1,), (64, 65), (700, 3, 129)])
def test_latents_are_counted(sizes: tuple[int, ...], variety: int) -> None:
    chance = np.random.default_rng(0)
    ids = [chance.integers(0, variety, (n, 2, 4)).astype(np.uint16) for n in sizes]
    expected: Counter[tuple[int, int]] = Counter()
    first = 0
    for one in ids:
        for (token, hookpoint, _), latent in np.ndenumerate(one):
            expected[int(latent) + hookpoint * N_LATENTS, first + token // 64] += 1
        first += -(-len(one) // 64)
    found = feature_postings(ids, N_LATENTS, 64)
    assert listed(found) == naive(expected)
    came_back(found, FEATURES, BITS, first)


@pytest.mark.parametrize("variety", [3, 1000])
def test_words_are_counted(variety: int) -> None:
    chance = np.random.default_rng(0)
    words = [[f"w{n}" for n in chance.integers(0, variety, size)] for size in (0, 3, 70, 64)]
    expected = Counter((term_of_word(w), n) for n, block in enumerate(words) for w in block)
    found = word_postings(words)
    assert listed(found) == naive(expected)
    came_back(found, WORDS, word_bits, len(words))


@pytest.mark.parametrize("words", [[], [[]], [[], []]])
def test_blocks_without_words(words: list[list[str]]) -> None:
    """A text of dashes and dots, say."""
    came_back(word_postings(words), WORDS, word_bits, len(words))


def came_back(postings: Postings, kind: Kind, bits: int, n_blocks: int) -> None:
    """Rows hold what they were made of, and so do those of two batches that are merged."""
    _, rows = posting_rows(postings, kind, bits, n_blocks)
    parts = [row.postings(kind, n_blocks) for row in rows]
    assert listed(merged(parts)) == listed(postings)
    later = [Postings(part.terms, part.blocks + n_blocks, part.counts) for part in parts]
    twice = [*listed(postings), *((t, b + n_blocks, n) for t, b, n in listed(postings))]
    assert listed(merged([*parts, *later])) == sorted(twice)
