"""Freed memory is kept: by page faults, which are counted."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc's malloc that is told")
FAULTS = """
import ctypes, resource, sys, threading
import torch
from gen_dist.engine.allocator import keep_freed_memory

library, DISABLE_HUGE_PAGES = ctypes.CDLL(None), 41
library.prctl(DISABLE_HUGE_PAGES, 1, 0, 0, 0)  # each would be one fault for 512 pages
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
for parameter in (TRIM_THRESHOLD, MMAP_THRESHOLD):
    library.mallopt(parameter, 128 << 10)  # as a process begins; what it does later depends on what was freed when
if sys.argv[1] == "keep":
    keep_freed_memory()

def step():  # as one of training: activations of some MB, all freed at its end
    held = [torch.ones(size << 18) for size in (1, 4, 20, 8, 30, 2, 16, 4, 16, 8)]

def count():
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

if sys.argv[2] == "main":
    count()
else:
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
"""


def faults(how: str, thread: str) -> int:
    command = [sys.executable, "-c", FAULTS, how, thread]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("thread", ["main", "other"])
def test_steps_have_no_page_faults(thread) -> None:
    given_back, kept = (faults(how, thread) for how in ("give", "keep"))
    assert given_back > 50_000  # else nothing was to be won
    assert kept < given_back / 10


GIVEN_BACK = """
import resource, threading
import torch
from gen_dist.engine.allocator import give_back_freed_memory, keep_freed_memory

def megabytes():
    return resource.getpagesize() * int(open("/proc/self/statm").read().split()[1]) / 1e6

def work():
    held = [torch.ones(1 << 18) for _ in range(200)]

keep_freed_memory()
thread = threading.Thread(target=work)
thread.start()
thread.join()
kept = megabytes()
give_back_freed_memory()
print(kept - megabytes())
"""


def test_what_a_thread_has_freed_can_be_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 150
