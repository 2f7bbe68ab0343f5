"""A model in a forked child: what of torch is of no use there any more."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch

from s3_retriever.errors import ModelError
from s3_retriever.forking import ForkLock

__all__ = ["ModelLock"]

logger = logging.getLogger(__name__)


class ModelLock(ForkLock):
    """Taken for each forward pass of a model; a fork waits for the pass that is going on.

    So no hook is left in the child's copy of the model, and no lock of torch's is held.
    """

    def __init__(self, model: Any) -> None:
        """Guard a model.

        Args:
            model: of :mod:`torch`.
        """
        super().__init__(awaited=True)
        self._model = model
        self._process = os.getpid()

    def __enter__(self) -> ModelLock:
        """Wait for other threads.

        Raises:
            ModelError: the model is on a device that a forked child cannot use.
        """
        if self._process != os.getpid() and self._model.device.type != "cpu":
            raise ModelError(
                f"the model was loaded on {self._model.device} before this process was forked, "
                "and a child cannot use it there: load it in the child, or start processes with "
                "the method spawn"
            )
        _tell_once()
        super().__enter__()
        return self


_to_tell = False
"""That this process computes with fewer threads than the one that it was forked from."""


def _use_one_thread() -> None:
    """The threads that torch computed with are not in the child, where it would wait for them."""
    global _to_tell
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)
        _to_tell = True


def _tell_once() -> None:
    """Where it matters: many children start another program and never compute."""
    global _to_tell
    if _to_tell:
        _to_tell = False
        logger.info("a forked child computes with one thread; start more with the method spawn")


if hasattr(os, "register_at_fork"):  # where there is fork
    os.register_at_fork(after_in_child=_use_one_thread)
