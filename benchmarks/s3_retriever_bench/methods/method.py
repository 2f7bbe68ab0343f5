"""What a retrieval method is to the runner."""

from __future__ import annotations

from typing import Protocol

from s3_retriever.engine import Engine
from s3_retriever.errors import EndogenousError
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.transformers import TransformersModel

__all__ = ["Method", "MethodUnavailable", "own_weights"]


class MethodUnavailable(EndogenousError):  # noqa: N818  (a state, not a fault)
    """A method cannot run here, e.g. without its weights; the message is the report's reason."""


class Method(Protocol):
    """Something that orders the text of a collection by what a question needs.

    The runner times ``read`` and ``rank`` and fills every budget from the same order, so that all
    methods are cut alike.
    """

    note: str
    """What the report must say of it, e.g. the model's name; may be empty."""

    def read(self, collection: Collection) -> None:
        """Prepare for questions on these documents; replaces what was read before.

        Raises:
            MethodUnavailable: this collection is beyond the method (e.g. a context window).
        """

    def rank(self, question: str) -> list[Place]:
        """Places of the collection, best first, without overlaps; as many as are worth having."""


def own_weights(engine: Engine) -> TransformersModel:
    """The engine's model, for what looks into its layers or replaces its cache.

    Raises:
        MethodUnavailable: the model runs elsewhere, or in another library.
    """
    if not isinstance(engine.llm, TransformersModel):
        raise MethodUnavailable(f"{engine.llm.name} is not a model of transformers in this process")
    return engine.llm
