"""What a machine says of itself before a run: plain values, measured where this runs, judged elsewhere."""

import importlib
import os
import platform
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

import gen_dist
from gen_dist.cgroups import allowed_cpus, cpu_quota, memory_limit
from gen_dist.cluster.interfaces import Interface, interface_facts
from gen_dist.data.cache import cache_folder
from gen_dist.errors import UserError
from gen_dist.source_hash import source_hash

PACKAGES = ("torch", "numba", "ray", "numpy")
# As /proc/cpuinfo writes them, and as shown: what decides how fast training is, and which last bits it computes.
INSTRUCTIONS = {
    "avx2": "avx2", "avx512f": "avx512", "avx512_bf16": "avx512-bf16", "amx_bf16": "amx-bf16",
    "asimd": "neon", "sve": "sve", "bf16": "bf16",
}  # fmt: skip


@dataclass(frozen=True)
class Disk:
    """The file system on which `folder` is, or would be made."""

    folder: str
    free_bytes: int
    writable: bool


@dataclass(frozen=True)
class NodeFacts:
    """Of one machine."""

    host: str
    software: dict[str, str]  # python, gen-dist and PACKAGES → version; source → hash of gen-dist's source
    broken: list[str]  # packages that cannot be imported, and why
    processor: str
    instructions: list[str]
    cpus: int  # that a process may use
    cpu_quota: float | None  # CPU seconds per second that a control group leaves
    load: float  # processes that want a CPU, on the whole machine, the mean over the last minute
    machine_cpus: int  # of the whole machine
    memory_bytes: int
    memory_free_bytes: int
    gpus: list[str]  # as NVIDIA's driver lists them
    cuda: bool  # whether this torch was built for them
    interface: Interface
    cache: Disk | None  # None: this user has no folder for it
    temporary: Disk

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "NodeFacts":
        """Raises KeyError, TypeError where `plain` comes from another version of gen-dist."""
        known = dict(plain)
        known["interface"] = Interface(**plain["interface"])
        known["cache"] = None if plain["cache"] is None else Disk(**plain["cache"])
        known["temporary"] = Disk(**plain["temporary"])
        return cls(**known)


def node_facts(address: str) -> NodeFacts:
    """Of this machine, which Ray knows by `address`. Imports torch and Numba, to see whether that works."""
    memory, limit = psutil.virtual_memory(), memory_limit()
    flags = cpu_flags()
    broken = [why for name in PACKAGES if (why := why_broken(name))]
    return NodeFacts(
        host=socket.gethostname(),
        software=software(),
        broken=broken,
        processor=platform.machine(),
        instructions=[name for flag, name in INSTRUCTIONS.items() if flag in flags],
        cpus=allowed_cpus(),
        cpu_quota=cpu_quota(),
        load=os.getloadavg()[0],
        machine_cpus=os.cpu_count() or 1,
        memory_bytes=min(memory.total, limit[0]) if limit else memory.total,
        memory_free_bytes=min(memory.available, limit[1]) if limit else memory.available,
        gpus=gpu_names(),
        cuda=not any(why.startswith("torch") for why in broken) and sees_cuda(),
        interface=interface_facts(address),
        cache=own_cache(),
        temporary=disk(Path(tempfile.gettempdir())),
    )


def software() -> dict[str, str]:
    """What must be the same on every machine."""
    found = {"python": platform.python_version(), "gen-dist": gen_dist.__version__, "source": source_hash()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def why_broken(name: str) -> str:
    """Empty if the package can be imported."""
    try:
        importlib.import_module(name)
    except Exception as error:  # whatever a torn installation raises
        lines = str(error).strip().splitlines() or [""]
        return f"{name}: {type(error).__name__}: {lines[0][:200]}"
    return ""


def disk(folder: Path) -> Disk:
    """Of the nearest folder above that exists."""
    there = next(parent for parent in (folder, *folder.parents) if os.path.isdir(parent))
    status = os.statvfs(there)
    return Disk(str(folder), status.f_bavail * status.f_frsize, os.access(there, os.W_OK | os.X_OK))


def own_cache() -> Disk | None:
    with suppress(UserError):
        return disk(cache_folder())
    return None


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Of the first CPU; none where there is no such file."""
    with suppress(OSError):
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return set(value.split())
    return set()


def gpu_names(folder: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """Asked from the driver: Ray hides GPUs from processes that did not reserve one."""
    names = []
    with suppress(OSError):
        for file in sorted(folder.glob("*/information")):
            lines = dict(line.partition(":")[::2] for line in file.read_text("utf-8", "replace").splitlines())
            names.append(lines.get("Model", "GPU").strip())
    return names


def sees_cuda() -> bool:
    """Whether this torch was built for CUDA; whether a GPU works, the workers find out."""
    import torch

    return torch.version.cuda is not None
