"""Questions of a batch, read together before each is answered by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.models.base import QueryReader

if TYPE_CHECKING:  # a search for words alone has no torch
    from torch import Tensor

__all__ = ["QueryCache"]


class QueryCache:
    """Queries of some texts at some layers.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> llm = TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> texts = [llm.tokenize(text).ids for text in ("Who?", "When was it?")]
        >>> cache = QueryCache(llm, texts, [17], most_tokens=64)
        >>> len(cache.get(texts[0], [17])[17]) == len(texts[0]), cache.get(texts[0], [18])
        (True, None)
    """

    def __init__(
        self,
        llm: QueryReader,
        texts: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        most_tokens: int,
    ) -> None:
        """Read ``texts`` now, padded, ``most_tokens`` of them together.

        Args:
            llm: the resident model.
            texts: token ids ``(n_tokens,)`` of each.
            layers: the layers whose queries are read.
            most_tokens: most tokens of one forward pass, padding included.
        """
        self._layers = tuple(layers)
        self._known: dict[bytes, Mapping[int, Tensor]] = {}
        waiting = sorted({ids.tobytes(): ids for ids in texts}.values(), key=len)
        while waiting:
            n = 1
            while n < len(waiting) and (n + 1) * len(waiting[n]) <= most_tokens:
                n += 1
            found = llm.read_queries(waiting[:n], self._layers)
            for at, ids in enumerate(waiting[:n]):
                queries = {layer: by_text[at] for layer, by_text in found.items()}
                self._known[ids.tobytes()] = queries
            waiting = waiting[n:]

    def get(self, ids: np.ndarray, layers: Sequence[int]) -> Mapping[int, Tensor] | None:
        """Queries ``(n_tokens, n_heads, head_dim)`` by layer; ``None`` for what was not read.

        Args:
            ids: token ids ``(n_tokens,)`` of a text.
            layers: must be those that were read.
        """
        return self._known.get(ids.tobytes()) if tuple(layers) == self._layers else None

    def part(self, ids: np.ndarray) -> QueryCache:
        """What was read for one text: to be sent to another process.

        Args:
            ids: token ids ``(n_tokens,)`` of it.
        """
        made = QueryCache.__new__(QueryCache)
        made._layers = self._layers
        key = ids.tobytes()
        made._known = {key: self._known[key]} if key in self._known else {}
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Plain arrays: no memory is shared with the process that unpickles them."""
        known = {
            key: {layer: queries.float().cpu().numpy() for layer, queries in by_layer.items()}
            for key, by_layer in self._known.items()
        }
        return {"_layers": self._layers, "_known": known}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take them, float32 on the CPU."""
        import torch

        self._layers = state["_layers"]
        self._known = {
            key: {layer: torch.from_numpy(queries) for layer, queries in by_layer.items()}
            for key, by_layer in state["_known"].items()
        }
