"""What transformers calls keys and values of the past: ``past_key_values``, later ``cache``."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["cache_argument", "cache_of"]


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """A model's argument for the past, under the name that its release of transformers gives it.

    Args:
        model: a causal language model.
        cache: a ``Cache``.
    """
    named = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in named else "past_key_values": cache}


def cache_of(output: Any) -> Any:
    """The ``Cache`` in what a model's forward pass gave."""
    return output.cache if "cache" in output else output.past_key_values
