"""Data that only one machine has: three hosts with a home each, of which one has too little room."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gen_dist.data.pack import Pack
from gen_dist.kernels.code_cache import cache_folder as kernels_cache
from tests.command import COMMAND, Done, environment, finish, last_state, losses, train
from tests.hosts import Host
from tests.packs import noise, pack_of

PORT = 6379
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
CPUS = (1, 2, 1)
SMALL_DISK = 70  # MB, for the cache of the last host: less than a pack, and what is left free beside it
AWAIT_HEAD = f"until (echo >/dev/tcp/$0/{PORT}) 2>/dev/null; do sleep 0.1; done"
AWAIT_NODES = """
import sys, time, ray
ray.init(sys.argv[1], log_to_driver=False)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.1)
"""

pytestmark = pytest.mark.netns


@dataclass(frozen=True)
class Machine:
    """A host with a home and a temporary folder of its own."""

    host: Host
    home: Path
    temporary: Path

    @property
    def packs(self) -> Path:
        return self.home / ".cache" / "gen-dist" / "packs"

    @property
    def environment(self) -> dict[str, str]:
        own = environment(HOME=str(self.home), TMPDIR=str(self.temporary), **TOKEN)
        return {name: value for name, value in own.items() if name != "XDG_CACHE_HOME"}

    def run(self, *arguments: object, cwd: Path) -> Done:
        """A gen-dist command."""
        process = self.host.popen(
            [*COMMAND, *arguments], cwd=cwd, env=self.environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        return finish(process)

    @contextmanager
    def ray(self, cpus: int, *options: object, mounts: Sequence[tuple[Path, int]] = ()) -> Iterator[None]:
        """A Ray node, which sees empty file systems of so many MB at `mounts`."""
        script = "".join(f"mount -t tmpfs -o size={size}m none '{path}' && " for path, size in mounts)
        command = [Path(sys.executable).with_name("ray"), "start", "--block", f"--num-cpus={cpus}",
                   f"--node-ip-address={self.host.address}", f"--temp-dir={self.temporary}",
                   "--object-store-memory=100000000", "--disable-usage-stats", *options]  # fmt: skip
        process = self.host.popen(
            ["sh", "-c", f'{script}exec "$@"', "sh", *command], env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def machines(hosts) -> Iterator[list[Machine]]:
    """Of the first one's folder `mine` the others see nothing."""
    base = Path(tempfile.mkdtemp(prefix="s", dir=os.environ["TMPDIR"]))
    with hosts(len(CPUS)) as group:
        made = [Machine(host, base / f"h{i}", base / f"t{i}") for i, host in enumerate(group)]
        for machine in made:
            machine.temporary.mkdir()
            machine.packs.mkdir(parents=True)
            if (kernels := kernels_cache()) is not None and kernels.exists():
                shutil.copytree(kernels, machine.packs.with_name(kernels.name))
        mine = made[0].home / "mine"
        mine.mkdir()
        head = f"{made[0].host.address}:{PORT}"
        with made[0].ray(CPUS[0], "--head", f"--port={PORT}", "--include-dashboard=false"):
            made[1].host.run(["timeout", "60", "bash", "-c", AWAIT_HEAD, made[0].host.address])
            with (
                made[1].ray(CPUS[1], f"--address={head}", mounts=[(mine, 1)]),
                made[2].ray(CPUS[2], f"--address={head}", mounts=[(mine, 1), (made[2].packs, SMALL_DISK)]),
            ):
                made[0].host.run([sys.executable, "-c", AWAIT_NODES, head, len(made)], env=made[0].environment)
                yield made
    shutil.rmtree(base)


def test_the_nodes_get_what_only_the_driver_has(machines, tmp_path):
    first, second, third = machines
    pack = pack_of(first.home / "mine" / "pack", noise(6000, (32, 32, 3)))
    content = Pack.open(pack).content_hash
    command = ["train", "smoke", f"data.path={pack}", "--address", f"{first.host.address}:{PORT}",
               "train.steps=5", "wandb.mode=disabled"]  # fmt: skip

    refused = first.run(*command, "--workers", "4", cwd=tmp_path)
    assert refused.code == 2
    assert f"no room for a copy of '{pack}' on" in refused.err
    assert f"({third.host.address}): '{third.packs}/shipped' needs 86 MB, 73 MB are free" in refused.err
    assert refused.err.count("gen-dist:") == 1, refused.err
    assert not list(tmp_path.glob("runs/*"))
    assert [file.name for file in (second.packs / "shipped").iterdir()] == [f"{content}.lock"]

    done = first.run(*command, "--workers", "3", "--run-dir", "together", cwd=tmp_path)
    assert done.code == 0, f"{done.out}\n{done.err}"
    copy = second.packs / "shipped" / content
    assert Pack.open(copy).verify() == []
    sent = [line for line in done.out.splitlines() if line.startswith("data")]
    assert [line.partition(": ")[2].split(" after")[0] for line in sent] == [
        f"there is no folder '{pack}'",
        f"sending 19 MB to {sent[0].split()[2]} ({second.host.address})",
        f"{sent[0].split()[2]} ({second.host.address}) has it, checked,",
    ]
    assert not first.packs.joinpath("shipped").exists()
    alone = train(tmp_path, "alone", "smoke", f"data.path={pack}", "train.steps=5", "--no-ray")
    assert losses(tmp_path / "together") == losses(alone)
    assert last_state(tmp_path / "together")["hash"] == last_state(alone)["hash"]
