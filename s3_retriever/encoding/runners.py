"""Where documents are read: what turns them into codes, here or elsewhere.

``s3_retriever.testing.runners`` holds the suite that every runner has to pass.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from s3_retriever.encoding.chunks import rounds
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import InputError, ModelError
from s3_retriever.models.first_layers import FirstLayers
from s3_retriever.profiles.profile import Profile
from s3_retriever.quoting import brief
from s3_retriever.settings import ScanSettings
from s3_retriever.types import Document, EncodedDocument, FailedDocument

__all__ = ["LocalRunner", "ScanPlan", "ScanRunner", "load_scanner", "read_round"]

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class ScanPlan:
    """All that another process needs to read documents as this one would; it can be pickled.

    Example:
        >>> ScanPlan(profile="smollm2-135m-instruct").settings.chunk_tokens
        2048
    """

    profile: str
    """A shipped name or a profile's folder."""
    model: str | None = None
    """Other weights of the profile's model: a hub id, a folder or a ``.gguf`` file."""
    settings: ScanSettings = field(default_factory=ScanSettings)
    """Chunk and batch sizes: they decide how keys are rounded, so they go along."""
    dtype: str | None = None
    """``bfloat16``, ``float16`` or ``float32``; ``None``: the best that the hardware has."""
    device: str | None = None
    """``cuda``, say; ``None``: the best there is."""
    weights: str | None = None
    """Digest of the model's weights up to the profile's last layer, so that other weights under
    the same name, on another machine, are refused; ``None`` takes any."""


class ScanRunner(Protocol):
    """Reads documents."""

    def run(
        self,
        plan: ScanPlan,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> Iterator[EncodedDocument | FailedDocument]:
        """Read documents; each comes back once, in the order given, as soon as its round is read.

        The codes are those of :class:`LocalRunner`, byte for byte: the same documents are read
        together (:func:`~s3_retriever.encoding.chunks.rounds`). One that cannot be read does not
        end the others: it comes back as a :class:`~s3_retriever.types.FailedDocument`.

        Args:
            plan: what reads them, and how.
            documents: taken lazily, a bounded number ahead.
            on_progress: called with the tokens and the characters read since the last call.

        Raises:
            ProfileError: what the plan names cannot be used.
            ModelError: the weights cannot be found or read, or are others than the plan's.
        """


class LocalRunner:
    """Reads in this process, with a model that is there already or is loaded for it."""

    def __init__(self, scanner: Scanner | None = None) -> None:
        """Take what reads.

        Args:
            scanner: of the plans' model, profile and settings; ``None`` loads what a plan names,
                and keeps the last.
        """
        self._scanner = scanner
        self._loaded: tuple[ScanPlan, Scanner] | None = None

    def run(
        self,
        plan: ScanPlan,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> Iterator[EncodedDocument | FailedDocument]:
        """See :class:`ScanRunner`."""
        scanner = self._of(plan)
        for together in rounds(documents, plan.settings.batch_tokens):
            yield from read_round(scanner, together, on_progress=on_progress)

    def _of(self, plan: ScanPlan) -> Scanner:
        if self._scanner is not None:
            return self._scanner
        if self._loaded is None or self._loaded[0] != plan:
            self._loaded = (plan, load_scanner(plan))
        return self._loaded[1]


def read_round(
    scanner: Scanner,
    documents: Sequence[Document],
    *,
    on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
) -> list[EncodedDocument | FailedDocument]:
    """Read documents together; if that fails, each by itself, so that the fault is one's own.

    Args:
        scanner: reads.
        documents: a round of :func:`~s3_retriever.encoding.chunks.rounds`.
        on_progress: as of :meth:`ScanRunner.run`; what is read twice is told twice.
    """
    raised: list[BaseException] = []

    def told(tokens: int, characters: int) -> None:
        try:
            on_progress(tokens, characters)
        except BaseException as e:
            raised.append(e)
            raise

    try:
        return [*scanner.scan_round(documents, on_progress=told)]
    except BaseException as e:
        if e in raised or (reason := _reason(e)) is None:  # the caller's own, to stop it say
            raise
        if len(documents) == 1:
            return [FailedDocument(documents[0].id, reason)]
    return [
        read
        for document in documents
        for read in read_round(scanner, [document], on_progress=on_progress)
    ]


_BROKEN = getattr(torch, "AcceleratorError", ())
"""What a GPU raises from then on: no document's fault. Older versions of torch cannot tell."""
_TELLING = (MemoryError, OSError, RuntimeError)
"""Errors whose messages tell of sizes and devices; those of others may quote the text."""


def _reason(error: BaseException) -> str | None:
    """Why a document could not be read, without its text; ``None``: that is not the document's."""
    if isinstance(error, InputError):
        return str(error)
    panic = type(error).__name__ == "PanicException"  # the tokenizer's; it derives no Exception
    if isinstance(error, _BROKEN) or not (panic or isinstance(error, Exception)):
        return None
    said = str(error).strip().partition("\n")[0][:200] if isinstance(error, _TELLING) else ""
    return f"it could not be read: {type(error).__name__}" + (f": {said}" if said else "")


def load_scanner(plan: ScanPlan) -> Scanner:
    """Load what a plan names: of the model, the layers that the profile reads.

    Raises:
        ProfileError: no such profile, it is damaged, or it is for another model.
        ModelError: the weights cannot be found or read, or are others than the plan's.
    """
    profile = Profile.load(plan.profile)
    llm = FirstLayers.load(
        plan.model or profile.card.model,
        profile.layers[-1] + 1,
        revision=profile.card.revision if plan.model is None else None,
        device=plan.device,
        dtype=_DTYPES[plan.dtype] if plan.dtype else None,
    )
    profile.check_llm(llm)
    if plan.weights not in (None, llm.weights_digest(profile.layers[-1])):
        raise ModelError(
            f"the weights of {brief(llm.name)} on this machine ({platform.node()}) are others "
            "than those "
            "of the engine that asks; give a folder that all machines see, or the same revision"
        )
    return Scanner(llm, profile, plan.settings)
