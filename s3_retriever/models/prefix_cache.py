"""Keys and values of texts read before, the least recently used given up for others."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from torch import Tensor

from s3_retriever.forking import ForkLock

__all__ = ["DEFAULT_BYTES", "PrefixCache"]

DEFAULT_BYTES = 256 * 2**20
"""11,600 tokens of SmolLM2-135M in bfloat16 (23 kB each): some five questions' passages."""


class PrefixCache:
    """What a model computed for the beginnings of its inputs, by their tokens; for many threads.

    Example:
        >>> import torch
        >>> cache = PrefixCache(most_bytes=100)
        >>> one, other = np.array([1, 2], np.int32), np.array([3], np.int32)
        >>> cache.put(one, torch.zeros(16))
        >>> cache.put(other, torch.ones(16))  # 64 bytes each: the first makes room
        >>> cache.get(one), len(cache), cache.n_bytes
        (None, 1, 64)
    """

    def __init__(self, most_bytes: int = DEFAULT_BYTES) -> None:
        """Start empty.

        Args:
            most_bytes: most memory of the tensors together; 0 keeps nothing.
        """
        self._most_bytes = most_bytes
        self._n_bytes = 0
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = ForkLock(awaited=True)
        self.n_hits = 0
        """Texts that were asked for and known."""
        self.n_misses = 0
        """Texts that were asked for and not known."""

    @property
    def most_bytes(self) -> int:
        """Most memory of the tensors together."""
        return self._most_bytes

    @property
    def n_bytes(self) -> int:
        """Memory of the tensors that are kept."""
        return self._n_bytes

    def __len__(self) -> int:
        """How many texts are known."""
        return len(self._known)

    def get(self, ids: np.ndarray) -> Tensor | None:
        """What was kept for a text, which counts as used now; ``None`` if nothing is.

        Args:
            ids: token ids ``(n_tokens,)``, int32.
        """
        key = ids.tobytes()
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                self.n_hits += 1
            else:
                self.n_misses += 1
            return found

    def put(self, ids: np.ndarray, states: Tensor) -> None:
        """Keep ``states`` for a text; what was not used longest goes until they fit.

        What is larger than everything that may be kept is not kept, and nothing goes for it.

        Args:
            ids: token ids ``(n_tokens,)``, int32.
            states: of any shape and dtype. Its whole storage is counted and stays in memory, so
                it should be no view of something larger.
        """
        size = _size(states)
        key = ids.tobytes()
        with self._lock:
            if size > self._most_bytes:
                return
            replaced = self._known.pop(key, None)
            if replaced is not None:
                self._n_bytes -= _size(replaced)
            self._make_room(size)
            self._known[key] = states
            self._n_bytes += size

    def resize(self, most_bytes: int) -> None:
        """Set ``most_bytes``; what does not fit any more goes."""
        with self._lock:
            self._most_bytes = most_bytes
            self._make_room(0)

    def tensors(self) -> list[Tensor]:
        """What is kept now, the least recently used first."""
        with self._lock:
            return list(self._known.values())

    def clear(self) -> None:
        """Forget everything: to have the memory back, or because the model's weights changed."""
        with self._lock:
            self._known.clear()
            self._n_bytes = 0

    def _make_room(self, size: int) -> None:
        while self._n_bytes + size > self._most_bytes:
            _, oldest = self._known.popitem(last=False)
            self._n_bytes -= _size(oldest)


def _size(states: Tensor) -> int:
    return states.untyped_storage().nbytes()
