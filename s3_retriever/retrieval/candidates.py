"""The tokens that are scored exactly: every block that words or features propose, or all."""

from __future__ import annotations

from collections.abc import Sequence

from s3_retriever.retrieval.scoring.base import TokenScorer
from s3_retriever.search.base import CandidateSearch
from s3_retriever.search.filters import Filter
from s3_retriever.settings import CandidateSettings
from s3_retriever.storage.base import CodeStore
from s3_retriever.types import TokenRange

__all__ = ["find_candidates"]


def find_candidates(
    store: CodeStore,
    search: CandidateSearch,
    words: Sequence[str],
    scorer: TokenScorer | None,
    settings: CandidateSettings,
    filter: Filter | None,
    *,
    look_up_words: bool,
) -> list[TokenRange]:
    """Propose what to score: ranges in the store's order, neighbouring blocks as one.

    Args:
        store: where the codes are.
        search: where blocks are looked up.
        words: of the question.
        scorer: of the question; ``None`` where features do not propose.
        settings: how many blocks.
        filter: only documents whose metadata pass.
        look_up_words: whether words propose, too; without them features look at every token.
    """
    whole = store.whole(filter, most_blocks=settings.cover)
    if whole is not None:
        return whole
    found: list[TokenRange] = []
    if look_up_words:
        found += [h.tokens for h in search.search_words(words, settings.words, filter)]
    if scorer is not None:
        # which need torch, as a search for words alone does not
        from s3_retriever.retrieval.full_scan import best_blocks
        from s3_retriever.retrieval.scoring.attention import AttentionScorer

        n_features = settings.features if look_up_words else settings.features_alone
        if not look_up_words and isinstance(scorer, AttentionScorer):
            # alone, features must find all there is; beside words, votes do (docs/performance.md)
            found += best_blocks(store, scorer, n_features, filter)
        else:
            features = scorer.features(settings.query_features)
            found += [h.tokens for h in search.search_features(features, n_features, filter)]
    return store.merged(found)
