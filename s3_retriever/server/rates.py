"""How often a token may ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["RateLimits"]


class RateLimits:
    """A bucket of requests for each name, which fills up evenly over a minute.

    Example:
        >>> now = 0.0
        >>> limits = RateLimits(clock=lambda: now)
        >>> limits.wait("web", 2), limits.wait("web", 2), limits.wait("web", 2)
        (0.0, 0.0, 30.0)
        >>> now = 30.0
        >>> limits.wait("web", 2)
        0.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets.

        Args:
            clock: seconds.
        """
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, per_minute: int) -> float:
        """Take one request; seconds until there is one if there is none (then none is taken).

        Args:
            name: whose.
            per_minute: requests, and as many at once.
        """
        rate = per_minute / 60
        with self._lock:
            now = self._clock()
            left, then = self._buckets.get(name, (float(per_minute), now))
            left = min(float(per_minute), left + (now - then) * rate)
            if left >= 1:
                self._buckets[name] = (left - 1, now)
                return 0.0
            self._buckets[name] = (left, now)
            return (1 - left) / rate
