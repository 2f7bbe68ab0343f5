"""What fits: every method's order is cut to a token budget by the same rule.

The rule is that of :func:`~s3_retriever.retrieval.fusion.fill_budget`, for places, whose text alone
counts: methods of which one has more pieces than another are compared by what they bring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from s3_retriever.labels.collections import Collection, Place
from s3_retriever.text import fitting_end

__all__ = ["BudgetFiller"]


class BudgetFiller:
    """Fills budgets with places of one collection and remembers what each place costs."""

    def __init__(self, collection: Collection, count_tokens: Callable[[str], int]) -> None:
        """Count in the model's tokens."""
        self._collection = collection
        self._count_tokens = count_tokens
        self._costs: dict[Place, int] = {}

    def cost(self, place: Place) -> int:
        """Tokens of a place."""
        if place not in self._costs:
            self._costs[place] = self._count_tokens(self._collection.text(place))
        return self._costs[place]

    def fill(self, ranking: Sequence[Place], max_tokens: int) -> list[Place]:
        """Take places in order while they fit; one that does not is passed over for smaller ones.

        If not even the first fits, it is cut after the last word that does.
        """
        taken: list[Place] = []
        left = max_tokens
        for place in ranking:
            if left == 0:
                break
            if self.cost(place) > left and not taken:
                place = self._cut(place, left)
            if self.cost(place) <= left and place.start < place.end:
                taken.append(place)
                left -= self.cost(place)
        return taken

    def _cut(self, place: Place, budget: int) -> Place:
        """The longest beginning that costs at most ``budget`` and ends with a word."""
        text = self._collection.text(place)
        low, high = 0, len(text)  # invariant: text[:low] fits
        while low < high:
            middle = (low + high + 1) // 2
            if self._count_tokens(text[:middle]) <= budget:
                low = middle
            else:
                high = middle - 1
        return place._replace(end=place.start + fitting_end(text, low))
