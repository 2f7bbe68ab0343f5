"""Questions of a batch, projected together before each is answered by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3_retriever.generator.generator import Generator
from s3_retriever.generator.taps import Projections

__all__ = ["ReadAhead"]


class ReadAhead(Generator):
    """A generator whose queries of some texts are there already; same weights, same lock.

    Example:
        >>> generator = Generator.load("HuggingFaceTB/SmolLM2-135M-Instruct")
        >>> texts = [generator.tokenize(text).ids for text in ("Who?", "When was it?")]
        >>> ahead = ReadAhead(generator, texts, [17], most_tokens=64)
        >>> found = ahead.project(texts[:1], [17], with_keys=False, with_queries=True)
        >>> found.queries[17].shape[:2] == (1, len(texts[0]))
        True
    """

    def __init__(
        self,
        generator: Generator,
        chunks: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        most_tokens: int,
    ) -> None:
        """Project ``chunks`` now: one padded forward pass for each ``most_tokens`` of them.

        Args:
            generator: the resident model; nothing of it is copied.
            chunks: token ids ``(n_tokens,)`` of each text.
            layers: the layers whose queries are read.
            most_tokens: most tokens of one forward pass, padding included.
        """
        self.__dict__.update(generator.__dict__)
        self._layers = tuple(layers)
        self._known: dict[bytes, Projections] = {}
        waiting = sorted({c.tobytes(): c for c in chunks}.values(), key=len)
        while waiting:
            n = 1
            while n < len(waiting) and (n + 1) * len(waiting[n]) <= most_tokens:
                n += 1
            self._read(waiting[:n])
            waiting = waiting[n:]

    def _read(self, chunks: Sequence[np.ndarray]) -> None:
        found = super().project(chunks, self._layers, with_keys=False, with_queries=True)
        for row, chunk in enumerate(chunks):
            queries = {layer: q[row : row + 1, : len(chunk)] for layer, q in found.queries.items()}
            self._known[chunk.tobytes()] = Projections({}, queries)

    def project(
        self,
        chunks: Sequence[np.ndarray],
        layers: Sequence[int],
        *,
        with_keys: bool = True,
        with_queries: bool = False,
    ) -> Projections:
        """As :meth:`Generator.project`; what was read ahead is not read again."""
        if len(chunks) == 1 and not with_keys and tuple(layers) == self._layers:
            known = self._known.get(chunks[0].tobytes())
            if known is not None:
                return known
        return super().project(chunks, layers, with_keys=with_keys, with_queries=with_queries)
