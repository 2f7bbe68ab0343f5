"""What a measurement asks of the device: that its work is done, and the memory it took."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import torch

__all__ = ["Peak", "peak_memory", "synchronize"]

_POLL_S = 0.02


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Peak:
    """The most memory a block used above what was in use before it, known once it is left."""

    bytes = 0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Watch memory during a block: what CUDA allocates, or the resident set of the process.

    The resident set is looked at 50 times a second, after what was freed before has been given
    back to the system (where the C library can: glibc). It is coarse, and grows by the weights
    themselves when a model that was only mapped from disk runs for the first time.

    Example:
        >>> with peak_memory(torch.device("cpu")) as peak:
        ...     total = float(torch.ones(8).sum())
        >>> peak.bytes >= 0
        True
    """
    peak = Peak()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device) - before
        return
    with suppress(OSError, TypeError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    process = psutil.Process()
    before = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            peak.bytes = max(peak.bytes, process.memory_info().rss - before)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
