"""What a part of a language model says when it is asked for what it has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from s3_retriever.errors import NotLoadedError

__all__ = ["Headless"]


class Headless:
    """A model without what takes all of its layers: likelihoods of questions, and answers."""

    def _refusal(self, what: str) -> NotLoadedError:
        """The error that says what is in memory; ``what`` says what was asked for."""
        raise NotImplementedError

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """Takes the whole model.

        Raises:
            NotLoadedError: always.
        """
        raise self._refusal("the likelihood of a question takes all of them")

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> NoReturn:
        """Takes the whole model.

        Raises:
            NotLoadedError: always.
        """
        raise self._refusal("an answer takes all of them")

    def stream(
        self,
        input_ids: Sequence[int],
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
    ) -> NoReturn:
        """Takes the whole model.

        Raises:
            NotLoadedError: always.
        """
        raise self._refusal("an answer takes all of them")
