"""What benchmarks need to know of processes other than their own: memory, leftovers, the CPU below them."""

import platform
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.2
END_SECONDS = 5.0
MARK = "GEN_DIST_BENCHMARK"  # in the environment of all that a run starts


class Memory:
    """The largest sum of the proportional set sizes (shared pages counted once) of a process and all below it."""

    def __init__(self) -> None:
        self.peak, self.processes = 0, 0

    def watch(self, pid: int) -> None:
        threading.Thread(target=self._watch, args=(pid,), daemon=True).start()

    def _watch(self, pid: int) -> None:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
                sizes = [pss(process) for process in (root, *root.children(recursive=True))]
                if sum(sizes) > self.peak:
                    self.peak, self.processes = sum(sizes), len(sizes)
                time.sleep(SAMPLE_SECONDS)


def train_workers(driver: psutil.Process, title: str = "ray::TrainWorker") -> list[psutil.Process]:
    """The processes below `driver` that train, as they were started."""
    found = []
    for process in driver.children(recursive=True):
        with suppress(psutil.Error):
            if title in "".join(process.cmdline()[:1]) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def pss(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return process.memory_full_info().pss
    return 0


def end_leftovers(token: str) -> list[str]:
    """Kill what a run left behind, found by the token in its environment; returns the processes' names."""
    deadline = time.monotonic() + END_SECONDS
    while left := [p for p in psutil.process_iter() if environment_of(p).get(MARK) == token]:
        if time.monotonic() > deadline:
            names = [" ".join(p.cmdline()[:3]) for p in left]
            for process in left:
                process.kill()
            return names
        time.sleep(0.1)
    return []


def environment_of(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error):
        return process.environ()
    return {}


def cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"
