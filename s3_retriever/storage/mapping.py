"""Files mapped into memory without a descriptor: an index may have any number of segments."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
import weakref
from typing import BinaryIO

import numpy as np

__all__ = ["map_file"]


def map_file(file: BinaryIO) -> np.ndarray:
    """The bytes of a file, to be read; the file may be closed, and its name may go.

    Python's own ``mmap`` keeps a copy of the descriptor until 3.13, so that a process which may
    have 1,024 of them could not open that many segments.

    Raises:
        OSError: the system refuses.
        ValueError: the file is empty.
    """
    descriptor = file.fileno()
    size = os.fstat(descriptor).st_size
    if not size:
        raise ValueError("the file is empty")
    if os.name != "posix":  # Windows has no such limit
        return np.frombuffer(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ), dtype=np.uint8)
    if sys.version_info >= (3, 13):
        pages = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ, trackfd=False)
        return np.frombuffer(pages, dtype=np.uint8)
    return np.asarray(_Pages(descriptor, size))


class _Pages:
    """Pages of a file, for as long as an array refers to them."""

    def __init__(self, descriptor: int, size: int) -> None:
        system = _system()
        address = system.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        # not at the end of the process, when threads may still read
        weakref.finalize(self, system.munmap, address, size).atexit = False
        self.__array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, True),
        }


@functools.cache
def _system() -> ctypes.CDLL:
    system = ctypes.CDLL(None, use_errno=True)
    pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    system.mmap.restype = pointer
    system.mmap.argtypes = (pointer, size, number, number, number, ctypes.c_long)
    system.munmap.argtypes = (pointer, size)
    return system
