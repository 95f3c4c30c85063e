"""Memory that one step has freed is the next one's: the C library would give it back to the system in between.

Getting it again costs a page fault for each 4 KB.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
LARGEST = 32 << 20  # bytes; malloc takes no larger threshold of what is mapped by itself
HEAP = 64 << 20  # bytes of address space that a thread's heap has; an empty one is kept if it is less than the pad
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """From now on, in this process; where malloc is glibc's."""
    if not sys.platform.startswith("linux") or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    for parameter, value in ((M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, 2 * HEAP)):
        library.mallopt(parameter, value)
