"""Keeps the C library from holding on to the memory of pictures and large messages that are gone."""

import ctypes

# Names and numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

_LARGE = 8 * 2**20  # bytes; what is larger is mapped by itself and given back when it is freed
_FREE = 32 * 2**20  # bytes at the heap's end that are kept for the next picture
_ARENAS = 2  # heaps that threads share; by default eight a core


def bound_heap() -> None:
    """Sets glibc's malloc up for many threads and short-lived large buffers; other libraries stay as they are.

    Left alone, glibc raises its limit for mapping to the largest buffer that was ever freed, 32 MiB at most: after one
    large message all others live in the heaps, and break them up. A limit low enough for pictures would cost a quarter
    more of the processor for each, for mapping them anew.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for parameter, value in (
            (_M_MMAP_THRESHOLD, _LARGE),
            (_M_TRIM_THRESHOLD, _FREE),
            (_M_ARENA_MAX, _ARENAS),
        ):
            library.mallopt(parameter, value)
