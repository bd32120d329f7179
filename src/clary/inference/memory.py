"""Keeps freed memory in the process, for the next batch."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM, MMAP = -1, -3  # mallopt's names for its settings
MOST = 1 << 30
LARGE = (1 << 30, 1 << 25)  # older releases take no more than the second


@cache
def keep() -> bool:
    """Whether the C library was told to keep what is freed, and to take large blocks from there too.

    A batch's matrices are larger than what the library hands back to the system at once; getting them again costs a
    page fault every 4 KB, on virtual machines as much time as the arithmetic. Only glibc knows how; elsewhere nothing
    is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return any(mallopt(MMAP, size) for size in LARGE) and bool(mallopt(TRIM, MOST))
