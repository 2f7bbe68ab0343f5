"""Where documents are read: what turns them into codes, here or elsewhere.

``s3_retriever.testing.runners`` holds the suite that every runner has to pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.types import Document, EncodedDocument

__all__ = ["LocalRunner", "ScanPlan", "ScanRunner", "load_scanner"]

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


class ScanRunner(Protocol):
    """Reads documents."""

    def run(
        self,
        plan: ScanPlan,
        documents: Iterable[Document],
        *,
        on_progress: Callable[[int, int], None] = lambda tokens, characters: None,
    ) -> Iterator[EncodedDocument]:
        """Read documents; each comes back once, in the order given, as soon as it is whole.

        The codes are those of :class:`LocalRunner`, byte for byte.

        Args:
            plan: what reads them, and how.
            documents: taken lazily, a bounded number ahead.
            on_progress: called with the tokens and the characters read since the last call.
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
    ) -> Iterator[EncodedDocument]:
        """See :class:`ScanRunner`."""
        yield from self._of(plan).scan(documents, on_progress=on_progress)

    def _of(self, plan: ScanPlan) -> Scanner:
        if self._scanner is not None:
            return self._scanner
        if self._loaded is None or self._loaded[0] != plan:
            self._loaded = (plan, load_scanner(plan))
        return self._loaded[1]


def load_scanner(plan: ScanPlan) -> Scanner:
    """Load what a plan names.

    Raises:
        ProfileError: no such profile, it is damaged, or it is for another model.
        ModelError: the weights cannot be found or read.
    """
    profile = Profile.load(plan.profile)
    llm = TransformersModel.load(
        plan.model or profile.card.model,
        revision=profile.card.revision if plan.model is None else None,
        device=plan.device,
        dtype=_DTYPES[plan.dtype] if plan.dtype else None,
    )
    profile.check_llm(llm)
    return Scanner(llm, profile, plan.settings)
