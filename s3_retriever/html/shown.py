"""What can be shown: the shapes of values, which those of the library's types have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = ["ShownExample", "ShownExplanation", "ShownFeature", "ShownSpan", "ShownToken"]


class ShownToken(Protocol):
    """A token of a document and its score."""

    @property
    def start(self) -> int:
        """First character in the document."""

    @property
    def end(self) -> int:
        """One past the last character."""

    @property
    def score(self) -> float:
        """Higher is darker."""


class ShownSpan(Protocol):
    """A piece of a document."""

    @property
    def id(self) -> str:
        """``docid:start-end``."""

    @property
    def doc_id(self) -> str:
        """The document's."""

    @property
    def start(self) -> int:
        """First character in the document."""

    @property
    def end(self) -> int:
        """One past the last character."""

    @property
    def text(self) -> str:
        """What stands there."""

    @property
    def rank(self) -> int:
        """0 for the best."""

    @property
    def score(self) -> float:
        """Higher is better."""

    @property
    def scores(self) -> Mapping[str, float]:
        """By leg."""

    @property
    def tokens(self) -> Sequence[ShownToken]:
        """Those that have a score, in order."""


class ShownExample(Protocol):
    """A place where a feature fires."""

    @property
    def doc_id(self) -> str:
        """The document's."""

    @property
    def start(self) -> int:
        """First character of the token."""

    @property
    def end(self) -> int:
        """One past its last character."""

    @property
    def text(self) -> str:
        """The token with its surroundings."""


class ShownFeature(Protocol):
    """A latent of an autoencoder."""

    @property
    def layer(self) -> int:
        """Of the model."""

    @property
    def latent(self) -> int:
        """Its number."""

    @property
    def contribution(self) -> float:
        """What it added to the score."""

    @property
    def tokens(self) -> Sequence[str]:
        """Tokens of the span on which it fired."""

    @property
    def examples(self) -> Sequence[ShownExample]:
        """Where else it fires."""


class ShownExplanation(Protocol):
    """Why a span was found."""

    @property
    def question(self) -> str:
        """Plain text."""

    @property
    def span(self) -> ShownSpan:
        """What was found."""

    @property
    def tokens(self) -> Sequence[ShownToken]:
        """The span's, with their scores."""

    @property
    def heads(self) -> Mapping[str, float]:
        """Mean attention by head."""

    @property
    def features(self) -> Sequence[ShownFeature]:
        """Best first."""
