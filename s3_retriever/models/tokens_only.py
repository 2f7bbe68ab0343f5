"""The tokenizer of a language model without the model: all that a search for words takes.

It is read from ``tokenizer.json`` by :mod:`tokenizers` itself, in a fifth of a second; neither
torch nor transformers is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from tokenizers import Tokenizer

from s3_retriever.errors import NotLoadedError
from s3_retriever.models.refusals import Headless
from s3_retriever.models.tokenizing import PlainTokenizer
from s3_retriever.models.weights import bound_model, find_weights
from s3_retriever.quoting import brief

if TYPE_CHECKING:
    from s3_retriever.models.families import AttentionLayout

__all__ = ["TokensOnly"]


class TokensOnly(Headless, PlainTokenizer):
    """Counts tokens as the model does that it stands for; all else is refused.

    Example:
        >>> tokens = TokensOnly.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> tokens.count_tokens("Hello world."), tokens.window
        (3, 8192)
    """

    def __init__(self, backend: Tokenizer, name: str, window: int) -> None:
        """Take a tokenizer, which is changed.

        Args:
            backend: of the model.
            name: where the model is.
            window: of the model, in tokens.
        """
        super().__init__(backend)
        self.name = name
        self.window = window

    @classmethod
    def load(cls, model: str, *, revision: str | None = None) -> TokensOnly | None:
        """The tokenizer of a hub id, a local folder or a ``.gguf`` file.

        Args:
            model: where it is (see :func:`~s3_retriever.models.weights.find_weights`).
            revision: a hub revision.

        Returns:
            ``None`` where only transformers can tell: there is no ``tokenizer.json``, or the
            configuration leaves the window to the family.

        Raises:
            ModelError: there is no such model.
        """
        model = bound_model(model)
        folder = find_weights(model, revision=revision)
        try:
            config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            window = config.get("text_config", config)["max_position_embeddings"]
            backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception:  # tokenizers raises this itself; transformers will say what is wrong
            return None
        return cls(backend, model, window) if isinstance(window, int) else None

    def _refusal(self, what: str) -> NotLoadedError:
        return NotLoadedError(
            f"only the tokenizer of {brief(self.name)} is in memory, enough to search in mode "
            f"bm25; {what}: load the model"
        )

    def _refuse(self) -> NoReturn:
        raise self._refusal("this takes layers, too")

    def prefix_ids(self, text: str, *, bos: bool) -> NoReturn:
        """Refused, as all that prepares a text for the model.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    @property
    def adds_bos(self) -> bool:
        """Refused.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    def tokenizer_hash(self) -> str:
        """Refused: which tokens are the model's own is told by its embedding.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    @property
    def layout(self) -> AttentionLayout:
        """Refused.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    def read_keys(
        self, chunks: Sequence[np.ndarray], layers: Sequence[int], prefix: np.ndarray
    ) -> NoReturn:
        """Refused.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    def read_queries(self, texts: Sequence[np.ndarray], layers: Sequence[int]) -> NoReturn:
        """Refused.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    def weights_digest(self, last_layer: int) -> NoReturn:
        """Refused.

        Raises:
            NotLoadedError: always.
        """
        self._refuse()

    def describe(self) -> Mapping[str, str | int]:
        """A model on no device, of no bytes."""
        return {"device": "cpu", "dtype": "none", "weight_bytes": 0}
