"""What a machine says of itself, read from files such as Linux writes."""

import json
import os
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from gen_dist.cgroups import allowed_cpus, cpu_quota, cpus, memory_limit
from gen_dist.cluster import interfaces
from gen_dist.cluster.interfaces import interface_facts
from gen_dist.cluster.node_facts import NodeFacts, cpu_flags, disk, gpu_names, node_facts, why_broken
from tests.command import environment

V1 = "cgroup {root}/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\ncgroup {root}/memory cgroup rw,memory 0 0\n"
V2 = "proc /proc proc rw 0 0\ncgroup2 {root} cgroup2 rw,nosuid 0 0\n"
GROUPS_V1 = "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/\n0::/\n"


def proc(tmp_path: Path, mounts: str, groups: str, files: dict[str, str]) -> Path:
    """A /proc in which control groups are mounted below `tmp_path`, with these files in them."""
    root = tmp_path / "sys"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "mounts").write_text(mounts.format(root=root))
    (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
    return tmp_path / "proc"


@pytest.mark.parametrize(
    ("mounts", "groups", "files", "quota"),
    [
        (V2, "0::/user/me\n", {"user/me/cpu.max": "50000 100000\n"}, 0.5),
        (V2, "0::/user/me\n", {"user/me/cpu.max": "max 100000\n", "user/cpu.max": "300000 100000\n"}, 3.0),
        (V2, "0::/user/me\n", {"user/me/cpu.max": "200000 100000\n", "user/cpu.max": "150000 100000\n"}, 1.5),
        (V2, "0::/\n", {"cpu.max": "max 100000\n"}, None),
        (V2, "0::/\n", {}, None),
        (V2, "0::/\n", {"cpu.max": "nonsense"}, None),
        (V1, GROUPS_V1, {"cpu,cpuacct/docker/a/cpu.cfs_quota_us": "25000\n",
                         "cpu,cpuacct/docker/a/cpu.cfs_period_us": "100000\n"}, 0.25),
        (V1, GROUPS_V1, {"cpu,cpuacct/cpu.cfs_quota_us": "200000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 2.0),
        (V1, GROUPS_V1, {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, None),
    ],
)  # fmt: skip
def test_cpu_quota(tmp_path, mounts, groups, files, quota):
    assert cpu_quota(proc(tmp_path, mounts, groups, files)) == quota


def test_memory_limits(tmp_path):
    new = {
        "me/memory.max": "1000000",
        "me/memory.current": "700000",
        "me/memory.stat": "anon 5\ninactive_file 100000\n",
    }
    assert memory_limit(proc(tmp_path / "new", V2, "0::/me\n", new)) == (1000000, 400000)
    assert memory_limit(proc(tmp_path / "none", V2, "0::/me\n", {"me/memory.max": "max"})) is None
    old = {"memory.limit_in_bytes": "5000", "memory.usage_in_bytes": "6000", "memory.stat": "total_inactive_file 10\n"}
    above = {f"memory/{name}": text for name, text in old.items()}
    own = {"memory/docker/a/memory.limit_in_bytes": str(2**63 - 4096)}
    assert memory_limit(proc(tmp_path / "old", V1, GROUPS_V1, above | own)) == (5000, 0)


def test_no_control_groups_elsewhere_than_on_linux(tmp_path):
    assert cpu_quota(tmp_path) is None
    assert cpus(tmp_path) == allowed_cpus()
    assert memory_limit(tmp_path) is None


def test_the_kernels_own_quota_is_found():
    """In a real control group; where there is none to be made, a skip."""
    folder = Path(f"/sys/fs/cgroup/cpu/gen-dist-{uuid.uuid4().hex}")
    try:
        folder.mkdir()
        (folder / "cpu.cfs_quota_us").write_text("30000")
    except OSError as error:
        pytest.skip(f"cannot make a control group (version 1): {error}")
    try:
        source = "from gen_dist.cgroups import cpu_quota, cpus; print(cpu_quota(), cpus())"
        command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(folder), sys.executable, "-c", source]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
        quota, count = done.stdout.split()
        assert float(quota) == pytest.approx(0.3)
        assert count == "1"
    finally:
        folder.rmdir()


def test_instructions_and_gpus(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n\nprocessor : 1\nflags : none\n")
    assert cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "avx512f"}
    assert cpu_flags(tmp_path / "nothing") == set()
    for number, text in {"0": "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 5\n", "1": "IRQ: 6\n"}.items():
        (tmp_path / "gpus" / number).mkdir(parents=True)
        (tmp_path / "gpus" / number / "information").write_text(text)
    assert gpu_names(tmp_path / "gpus") == ["NVIDIA H100 80GB HBM3", "GPU"]
    assert gpu_names(tmp_path / "nothing") == []


def test_the_disk_of_a_folder_that_is_not_there(tmp_path):
    found = disk(tmp_path / "a" / "b")
    assert found.folder == str(tmp_path / "a" / "b")
    assert found.writable
    assert 0 < found.free_bytes <= os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize * 1.1


def test_packages_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "torn_apart.py").write_text('raise OSError("libgomp.so.1: cannot open\\nand more")\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert why_broken("torn_apart") == "torn_apart: OSError: libgomp.so.1: cannot open"
    assert why_broken("not_installed_anywhere").startswith("not_installed_anywhere: ModuleNotFoundError: No module")
    assert why_broken("json") == ""


def test_interfaces(monkeypatch):
    loopback = interface_facts("127.0.0.1")
    assert loopback.loopback
    assert loopback.name in [name for _, name in socket.if_nameindex()]
    monkeypatch.setattr(interfaces, "_address_towards_internet", lambda: "")
    nowhere = interface_facts("203.0.113.9")
    assert (nowhere.name, nowhere.towards_internet, nowhere.megabits) == ("", "", None)


def test_a_machine_reads_the_same_from_json():
    facts = node_facts("127.0.0.1")
    assert NodeFacts.from_plain(json.loads(json.dumps(facts.to_plain()))) == facts
    assert facts.broken == []
    assert facts.software["torch"] != "missing"
    assert 0 < facts.memory_free_bytes <= facts.memory_bytes


def test_facts_of_another_version_are_refused():
    plain = node_facts("127.0.0.1").to_plain()
    with pytest.raises(TypeError, match="unexpected keyword"):
        NodeFacts.from_plain({**plain, "weather": "fine"})
    del plain["cache"]
    with pytest.raises(KeyError):
        NodeFacts.from_plain(plain)
