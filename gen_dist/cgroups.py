"""What a container or a control group leaves to this process: Linux says so in files, in two versions of them."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

NO_LIMIT = 1 << 60  # bytes; version 1 writes a number near 2**63 where there is none
PROC = Path("/proc")


def cpus(proc: Path = PROC) -> int:
    """How many CPUs this process may keep busy; at least one."""
    quota = cpu_quota(proc)
    return allowed_cpus() if quota is None else min(allowed_cpus(), max(1, math.floor(quota)))


def allowed_cpus() -> int:
    """On how many CPUs this process may run, whatever its quota."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(proc: Path = PROC) -> float | None:
    """CPU seconds per second; None: no quota."""
    quotas = []
    for version, folder in _folders("cpu", proc):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if version == 2:
                most, period = (folder / "cpu.max").read_text().split()
            else:
                most, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if most != "max" and int(most) > 0:
                quotas.append(int(most) / int(period))
    return min(quotas, default=None)


def memory_limit(proc: Path = PROC) -> tuple[int, int] | None:
    """(limit, what is left of it) in bytes, of the group with least left; None: no limit.

    Files that were read and may be forgotten count as left.
    """
    limits = []
    for version, folder in _folders("memory", proc):
        limit, used, files = (
            ("memory.max", "memory.current", "inactive_file")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        with suppress(OSError, ValueError):  # "max" is no number
            most = int((folder / limit).read_text())
            if most < NO_LIMIT:
                lines = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
                taken = int((folder / used).read_text()) - int(dict(lines).get(files, 0))
                limits.append((most, max(0, most - taken)))
    return min(limits, key=lambda limit: limit[1], default=None)


def _folders(controller: str, proc: Path) -> Iterator[tuple[int, Path]]:
    """(version, folder) of this process's group and those above it: the tightest of them counts.

    In a container the path may be that of the machine around it: then only the top is there.
    """
    try:
        groups = (proc / "self" / "cgroup").read_text().splitlines()
        mounts = (proc / "mounts").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in mounts:
        _, mount, kind, options, *_ = [*line.split(), "", "", "", ""]
        if kind == "cgroup2":
            version, wanted = 2, ""
        elif kind == "cgroup" and controller in options.split(","):
            version, wanted = 1, controller
        else:
            continue
        for group in groups:
            _, controllers, path = group.split(":", 2)
            if wanted in controllers.split(","):
                own = Path(path.lstrip("/"))
                yield from ((version, Path(mount) / place) for place in (own, *own.parents))
