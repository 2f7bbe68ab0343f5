"""Keeping transformers' bars and advice off a user's terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3_retriever.forking import ForkLock

__all__ = ["quiet_transformers"]


class _Quiet:
    """What to restore when the last block of :func:`quiet_transformers` is left."""

    lock = ForkLock()
    depth = 0
    verbosity = 0
    had_bars = False


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars and advice off a user's terminal, in any number of threads."""
    from transformers.utils import logging as transformers_logging

    with _Quiet.lock:
        if not _Quiet.depth:
            _Quiet.verbosity = transformers_logging.get_verbosity()
            _Quiet.had_bars = transformers_logging.is_progress_bar_enabled()
            transformers_logging.set_verbosity_error()
            transformers_logging.disable_progress_bar()
        _Quiet.depth += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.depth -= 1
            if not _Quiet.depth:
                transformers_logging.set_verbosity(_Quiet.verbosity)
                if _Quiet.had_bars:
                    transformers_logging.enable_progress_bar()
