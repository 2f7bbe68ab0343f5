"""The connection to a Ray cluster: one a process, quiet, given back by the last who uses it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from s3_retriever.errors import RunnerError

__all__ = ["capacity", "connected", "import_ray"]

_lock = threading.Lock()
_users = 0
_ours = False
"""Whether the connection was made here: who was connected before stays so."""


def import_ray() -> ModuleType:
    """The package, which reports nothing home and looks at nobody's command line.

    Raises:
        RunnerError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        return import_module("ray")
    except ImportError as e:
        raise RunnerError('a Ray cluster needs Ray: pip install "s3-retriever[ray]"') from e


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The package :mod:`ray`, connected.

    Args:
        address: ``host:port`` of a cluster; ``None``: the one that ``RAY_ADDRESS`` names or that
            runs on this machine, else one that is started on this machine and ended afterwards.
            A process that is connected already stays where it is.

    Raises:
        RunnerError: Ray is not installed, or the cluster cannot be reached.
    """
    global _users, _ours
    ray = import_ray()
    with _lock:
        if not ray.is_initialized():
            _connect(ray, address)
            _ours = True
        _users += 1
    try:
        yield ray
    finally:
        with _lock:
            _users -= 1
            if _ours and not _users:
                ray.shutdown()
                _ours = False


def _connect(ray: Any, address: str | None) -> None:
    try:
        ray.init(
            address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, OSError, RuntimeError, ValueError) as e:
        said = str(e).strip().partition("\n")[0]
        raise RunnerError(f"no Ray cluster at {address or 'this machine'}: {said}") from e


def capacity(ray: Any, gpus_per_worker: float) -> int:
    """How many workers of one processor and some GPUs the cluster's nodes hold.

    Args:
        ray: connected.
        gpus_per_worker: may be a part of one; 0 for none.
    """
    n = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            fit = int(has.get("CPU", 0))
            n += min(fit, int(has.get("GPU", 0) / gpus_per_worker)) if gpus_per_worker else fit
    return n
