"""Moving the heap into huge pages: only memory of the process's own is touched, its contents stay, and the kernel agrees."""

import re
import sys
from pathlib import Path

import pytest

from shared.runtime.huge_pages import PAGE_BYTES, collapse_heap, heap_pages

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="huge pages are asked for on Linux only")


def _kilobytes_in_huge_pages() -> int:
    found = re.search(r"^AnonHugePages:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


@ON_LINUX
def test_what_is_said_to_lie_in_huge_pages_does_and_keeps_its_contents() -> None:
    held = [bytes([number % 251]) * 100_000 for number in range(200)]  # 20 MB, each below the size that is mapped apart
    collapsed = collapse_heap()
    assert _kilobytes_in_huge_pages() * 1024 >= collapsed
    assert all(each == bytes([number % 251]) * 100_000 for number, each in enumerate(held))
    assert collapse_heap() >= collapsed - PAGE_BYTES  # what lies there already is no error


def test_only_whole_pages_of_private_memory_without_a_file_are_named() -> None:
    huge = PAGE_BYTES
    maps = "\n".join(
        (
            f"{huge + 4096:x}-{4 * huge + 4096:x} rw-p 00000000 00:00 0 [heap]",  # two whole ones: its second and third
            f"{10 * huge:x}-{11 * huge:x} rw-p 00000000 00:00 0 ",
            f"{12 * huge + 4096:x}-{13 * huge + 4096:x} rw-p 00000000 00:00 0 ",  # as long as one, but across a bound
            f"{20 * huge:x}-{22 * huge:x} r-xp 00000000 08:01 77 /usr/lib/some library.so",
            f"{30 * huge:x}-{32 * huge:x} rw-p 00000000 08:01 77 /usr/lib/some library.so",
            f"{40 * huge:x}-{42 * huge:x} rw-s 00000000 00:01 9 /dev/zero (deleted)",
            f"{50 * huge:x}-{52 * huge:x} ---p 00000000 00:00 0 ",
            f"{60 * huge:x}-{62 * huge:x} rw-p 00000000 00:00 0 [stack]",
        )
    )
    assert list(heap_pages(maps)) == [2 * huge, 3 * huge, 10 * huge]
