"""Huge pages for what a process has loaded: modules, code and tables that every event touches, in hundreds of small objects.

Python's memory lies in pages of 4 KiB. What an event touches is spread over more of them than the processor can remember where
they are, and looking that up costs about a twenty-fifth of the process's time. Linux moves a whole stretch of memory
into pages of 2 MiB when asked (`MADV_COLLAPSE`, from Linux 6.1); contents, addresses and the process's size stay as they are.

Guarantee: never an error; where the kernel cannot or may not (`transparent_hugepage/enabled` is `never`) nothing changes.
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE_BYTES = 2 * 1024 * 1024
_MAPS = Path("/proc/self/maps")
_MADV_COLLAPSE = 25
"""From `linux/mman.h`; Python's `mmap` module names the older ones only, and takes none for memory that it has not mapped."""


def collapse_heap() -> int:
    """Move this process's heap into huge pages; returns how many bytes now lie in them. Takes some 4 ms a huge page: call it
    from a thread, once all is loaded."""
    if sys.platform != "linux":
        return 0
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    try:
        maps = _MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    collapsed = 0
    for start in heap_pages(maps):
        # Page by page: one that holds too little to be worth it fails by itself. A stretch that was unmapped meanwhile, or
        # became another's, is refused or moved likewise; neither does harm.
        if advise(start, PAGE_BYTES, _MADV_COLLAPSE) == 0:
            collapsed += PAGE_BYTES
    return collapsed


def heap_pages(maps: str) -> Iterator[int]:
    """Where huge pages could begin: aligned stretches that lie wholly in private, writable memory behind which there is no
    file, as `/proc/self/maps` lists them."""
    for line in maps.splitlines():
        bounds, permissions, _, _, inode, *name = line.split(maxsplit=5)
        if permissions != "rw-p" or inode != "0" or (name and name[0] != "[heap]"):
            continue
        low, high = (int(bound, 16) for bound in bounds.split("-"))
        first = -(-low // PAGE_BYTES) * PAGE_BYTES
        yield from range(first, high - PAGE_BYTES + 1, PAGE_BYTES)
