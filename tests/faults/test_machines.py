"""The fault table of several machines: what happens to one of them, and the run goes on to the same bits."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.command import finish, last_state, reached, rows, wait_for
from tests.machines import Machine, cluster, furnish, join, leave

pytestmark = [pytest.mark.faults, pytest.mark.netns, pytest.mark.slow]
STEPS = 400
# Long enough that a fault of seconds falls into it, and the same for all rows, so that one undisturbed run is enough.
SETTINGS = ["smoke", f"train.steps={STEPS}", "train.log_every=1", "train.checkpoint_every=50", "wandb.mode=disabled",
            "model.generator_width=16", "model.discriminator_width=16"]  # fmt: skip
TRAIN_WORKER = "ray::TrainWorker"
LEAVE_SECONDS = 10.0
SMALL_DISK = "64m"


def kill_raylet(machine: Machine) -> None:
    machine.kill("raylet")


def pull_cable(machine: Machine) -> None:
    machine.host.cut()


def drop_what_it_sends(machine: Machine) -> None:
    """It hears the others, who do not hear it: what it sends them goes to an address that no one has."""
    for number in range(1, 3):
        peer = ["neigh", "replace", f"10.77.0.{number}", "lladdr", "02:00:00:00:00:99", "dev", machine.host.interface]
        subprocess.run(["ip", "-n", machine.host.name, *peer, "nud", "permanent"], check=True)


def stop_for_a_while(machine: Machine) -> None:
    """A laptop that sleeps: everything on it stops, and wakes when the others have gone on without it."""
    pids = list(machine.programs())
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(15)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def slow_down_for_a_while(machine: Machine) -> None:
    """A laptop that gets hot: a quarter of a CPU."""
    machine.host.limit(0.25)
    time.sleep(8)
    machine.host.limit(1)
    assert machine.host.throttled() > 0, "it never wanted more"


def fill_disk(machine: Machine) -> None:
    with open(machine.home / "ballast", "wb", buffering=0) as file:
        while shutil.disk_usage(machine.home).free:
            with suppress(OSError):  # the last block is a part of one
                file.write(bytes(1 << 20))


@dataclass(frozen=True)
class Blow:
    strike: Callable[[Machine], None]
    machine: int
    says: str | None = None  # None: nobody is lost


# One after the other in the same run, of three machines.
RUNS = {
    "slow for a while, disk full, raylet killed, cable pulled": (
        Blow(slow_down_for_a_while, 2),
        Blow(fill_disk, 2),
        Blow(kill_raylet, 2, "failed in step"),
        Blow(pull_cable, 1, "no answer for"),
    ),
    "drops what it sends, sleeps and wakes": (
        Blow(drop_what_it_sends, 2, "no answer for"),
        Blow(stop_for_a_while, 1, "no answer for"),
    ),
}


@pytest.fixture
def machines(hosts) -> Iterator[list[Machine]]:
    """The last one has a small disk of its own."""
    with hosts(3, cpus=[1, 1, 1]) as group:
        made = furnish(group)
        disk = str(made[-1].home)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "gen-dist-test", disk], check=True)
        try:
            yield made
        finally:
            subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture(scope="module")
def undisturbed(hosts) -> str:
    with hosts(1) as group:
        [machine] = furnish(group)
        done = machine.gen_dist("train", *SETTINGS, "--no-ray", "--run-dir", "run")
        assert done.code == 0, done.err
        return last_state(machine.home / "run")["hash"]


@pytest.mark.parametrize("name", RUNS)
def test_machines_are_struck_and_the_run_goes_on_to_the_same_bits(name, undisturbed, machines):
    run = machines[0].home / "run"
    left = len(machines)
    with cluster(machines) as address:
        command = ["train", *SETTINGS, "--workers", "3", "--address", address, "--run-dir", "run"]
        process = machines[0].start(*command)
        try:
            wait_for(reached(run, 20), 120)
            for blow in RUNS[name]:
                blow.strike(machines[blow.machine])
                struck = len(rows(run))
                if blow.says is not None:
                    left -= 1
                    wait_for(lambda left=left: f": {left} worker" in (run / "log.txt").read_text(), 60)
                wait_for(reached(run, min(struck + 10, STEPS)), 60)
        finally:
            done = finish(process, 240)
        assert struck < STEPS, "the last fault came too late"
        assert done.code == 0, done.err
        said = [line for line in done.out.splitlines() if " failed in step " in line]
        lost = [blow.says for blow in RUNS[name] if blow.says is not None]
        assert len(said) == len(lost)
        assert all(what in line for what, line in zip(lost, said, strict=True))
        assert last_state(run)["hash"] == undisturbed
        assert [one["step"] for one in rows(run)] == list(range(1, STEPS + 1))
        assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize("program", ["the driver", "gcs_server"])
def test_without_its_driver_or_its_head_a_run_ends_everywhere_and_can_be_resumed(program, undisturbed, machines):
    """The one failure that costs steps. The driver is not on the head."""
    head, home, _ = machines
    run = home.home / "run"
    with cluster(machines) as address:
        process = home.start("train", *SETTINGS, "--workers", "3", "--address", address, "--run-dir", "run")
        wait_for(reached(run, 60), 120)
        assert sum(is_training(machine) for machine in machines) == 3
        if program == "the driver":
            process.kill()
        else:
            head.kill(program)
        struck = len(rows(run))
        wait_for(lambda: not any(map(is_training, machines)), LEAVE_SECONDS)
        done = finish(process, 60)
        assert struck < STEPS, "the fault came too late"
        assert done.code in (1, -signal.SIGKILL)
        if program != "the driver":
            assert "gen-dist train --resume" in done.err
            assert "Traceback" not in done.out + done.err
            leave(machines)
            wait_for(lambda: all(machine.has_nothing() for machine in machines), 30)
            up = head.gen_dist("up", "--num-cpus", 1)
            assert up.code == 0, up.err
            join(machines[1:], head)
        again = home.gen_dist("train", "--resume", "auto", *SETTINGS, "--workers", "3", "--address", address,
                              "--run-dir", "run")  # fmt: skip
        assert again.code == 0, again.err
        assert last_state(run)["hash"] == undisturbed
        assert [one["step"] for one in rows(run)] == list(range(1, STEPS + 1))


def test_machines_come_and_go_and_the_run_waits_for_as_many_as_it_must_have(undisturbed, machines):
    run = machines[0].home / "run"
    log = run / "log.txt"
    with cluster(machines[:2]) as address:
        command = ["train", *SETTINGS, "--workers", "2:3", "--address", address, "--run-dir", "run"]
        process = machines[0].start(*command)
        try:
            wait_for(reached(run, 20), 120)
            join(machines[2:], machines[0])
            wait_for(lambda: "joins" in log.read_text() and "3 workers go on" in log.read_text(), 60)
            for machine in machines[1:]:
                machine.kill("raylet")
            wait_for(lambda: "waiting for machines: 1 of at least 2 workers are there" in log.read_text(), 60)
            waits_at = len(rows(run))
            machines[1].gen_dist("down")
            join(machines[1:2], machines[0])
        finally:
            done = finish(process, 240)
        assert waits_at < STEPS, "the fault came too late"
        assert done.code == 0, done.err
        assert last_state(run)["hash"] == undisturbed
        assert [one["step"] for one in rows(run)] == list(range(1, STEPS + 1))


def is_training(machine: Machine) -> bool:
    return any(name.startswith(TRAIN_WORKER) for name in machine.programs().values())
