"""The fault table of several machines: raylet killed, cable pulled, one direction dropped, too slow, disk full."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.command import finish, last_state, reached, rows, wait_for
from tests.machines import Machine, cluster, furnish

pytestmark = [pytest.mark.faults, pytest.mark.netns, pytest.mark.slow]
STEPS = 400
# Long enough that a fault of seconds falls into it, and the same for all rows, so that one undisturbed run is enough.
SETTINGS = ["smoke", f"train.steps={STEPS}", "train.log_every=1", "train.checkpoint_every=200", "wandb.mode=disabled",
            "model.generator_width=16", "model.discriminator_width=16"]  # fmt: skip


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


@dataclass(frozen=True)
class Row:
    strike: Callable[[Machine], None]
    says: str


ROWS = {
    "raylet killed": Row(kill_raylet, "failed in step"),
    "cable pulled": Row(pull_cable, "no answer for"),
    "drops what it sends": Row(drop_what_it_sends, "no answer for"),
    "sleeps and wakes": Row(stop_for_a_while, "no answer for"),
}


@pytest.fixture
def machines(hosts) -> Iterator[list[Machine]]:
    with hosts(3) as group:
        yield furnish(group)


@pytest.fixture(scope="module")
def undisturbed(hosts) -> str:
    with hosts(1) as group:
        [machine] = furnish(group)
        done = machine.gen_dist("train", *SETTINGS, "--no-ray", "--run-dir", "run")
        assert done.code == 0, done.err
        return last_state(machine.home / "run")["hash"]


@pytest.mark.parametrize("name", ROWS)
def test_a_machine_is_lost_and_the_others_go_on_to_the_same_bits(name, undisturbed, machines):
    row = ROWS[name]
    with cluster(machines) as address:
        command = ["train", *SETTINGS, "--workers", "3", "--address", address, "--run-dir", "run"]
        process = machines[0].start(*command)
        run = machines[0].home / "run"
        try:
            wait_for(reached(run, 20), 120)
            row.strike(machines[2])
            struck = len(rows(run))
        finally:
            done = finish(process, 240)
        assert struck < STEPS, "the fault came too late"
        assert done.code == 0, done.err
        assert row.says in done.out
        assert "2 workers go on" in done.out
        assert last_state(run)["hash"] == undisturbed
        assert [one["step"] for one in rows(run)] == list(range(1, STEPS + 1))
        assert "Traceback" not in done.out + done.err
