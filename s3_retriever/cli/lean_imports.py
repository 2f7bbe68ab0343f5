"""Importing transformers without the large libraries that it takes up because they are there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["lean_imports"]

_HIDDEN = ("sklearn", "scipy", "pandas")
"""Where scikit-learn is installed, transformers imports it for a kind of decoding that is not used
here, and it the other two: a fifth of the processor time until a model is there."""


@contextmanager
def lean_imports() -> Iterator[None]:
    """In this block those libraries are not installed, and afterwards as ever.

    None that was imported before is taken away. For the command line only, whose process is its
    own: transformers does not ask a second time what is installed.
    """
    # None in sys.modules is Python's own way to say that there is no such module
    hidden: dict[str, ModuleType | None] = {n: None for n in _HIDDEN if n not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
