"""What the C library does with freed memory.

What one step of training has freed is the next one's: given back to the system in between, it would cost a page fault
for each 4 KB. What a large job has freed, on the other hand, each of its threads would keep for itself.
"""

import ctypes
import sys
from collections.abc import Callable

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
LARGEST = 32 << 20  # bytes; malloc takes no larger threshold of what is mapped by itself
HEAP = 64 << 20  # bytes of address space that a thread's heap has; an empty one is kept if it is less than the pad
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """From now on, in this process; where malloc is glibc's."""
    if mallopt := function("mallopt"):
        for parameter, value in ((M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, 2 * HEAP)):
            mallopt(parameter, value)


def give_back_freed_memory() -> None:
    """Once, what all threads of this process have freed; where malloc is glibc's."""
    if trim := function("malloc_trim"):
        trim(0)


def function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
