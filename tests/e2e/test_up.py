"""`gen-dist up`, `join` and `down` on hosts that share neither folders nor environment variables."""

import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator

import pytest

from tests.command import COMMAND, ROOT, finish, last_state, reached, rows, wait_for
from tests.machines import Machine, furnish

pytestmark = [pytest.mark.netns, pytest.mark.slow]
RANKS = r"\((10\.77\.0\.\d)\): ranks"
TINY = ["smoke", "train.steps=3", "wandb.mode=disabled"]


@pytest.fixture
def machines(hosts) -> Iterator[list[Machine]]:
    with hosts(3) as group:
        yield furnish(group)


def test_three_machines_train_and_leave_nothing(machines):
    head, second, third = machines
    address = f"{head.host.address}:6379"

    up = head.gen_dist("up", "--num-cpus", "1")
    assert up.code == 0, up.err
    assert f"up: the Ray head {address} (eth0, towards the default route), 1 machine, 1 CPU" in up.out
    [join_line] = re.findall(r"^  gen-dist (join .*)$", up.out, re.MULTILINE)
    [token_file] = head.home.glob(".local/state/gen-dist/nodes/*/token")
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    token = token_file.read_text().strip()
    assert join_line == f"join {address} --token {token}"

    refused = second.gen_dist("join", head.host.address, "--token", "0" * 32)
    assert (refused.code, refused.err.count("\n")) == (2, 1), refused
    assert f"join {address}: refused the token" in refused.err
    assert second.has_nothing()

    joined = second.gen_dist(*join_line.split(), "--num-cpus", "1")
    assert joined.code == 0, joined.err
    assert f"this machine is {second.host.address} (eth0, towards {head.host.address})" in joined.out
    again = second.gen_dist(*join_line.split())
    assert (again.code, again.out.count("\n"), "joined already" in again.out) == (0, 1, True), again
    joined = third.gen_dist("join", head.host.address, "--token-file", "-", "--num-cpus", "1", given=token + "\n")
    assert "The cluster has 3 machines, 3 CPUs" in joined.out

    done = third.gen_dist("train", *TINY, "--workers", "3", "--address", "auto", "--run-dir", "run")
    assert done.code == 0, done.err
    assert set(re.findall(RANKS, done.out)) == {machine.host.address for machine in machines}
    assert [row["step"] for row in rows(third.home / "run")] == [1, 2, 3]

    assert f"ended the Ray node {third.host.address}" in third.gen_dist("down").out
    assert third.has_nothing()
    head.kill("gcs_server")
    wait_for(lambda: not head.programs())  # the agents, too, which Ray leaves behind
    has_ended = head.gen_dist("train", *TINY, "--address", "auto")
    assert (has_ended.code, "has ended; 'gen-dist up' starts it again" in has_ended.err) == (2, True), has_ended
    assert "had ended already" in head.gen_dist("down").out
    assert second.gen_dist("down").code == 0
    assert [machine.has_nothing() for machine in machines] == [True] * 3


def test_what_ends_while_it_starts_or_blocks_leaves_nothing(machines):
    starting = machines[0].start("up")
    wait_for(lambda: "gcs_server" in machines[0].programs().values())
    starting.send_signal(signal.SIGINT)
    assert finish(starting).code == 130
    assert machines[0].has_nothing()

    killed = machines[1].start("up")
    wait_for(lambda: "gcs_server" in machines[1].programs().values())
    killed.kill()
    finish(killed)
    assert "ended the Ray head" in machines[1].gen_dist("down").out
    assert machines[1].has_nothing()

    blocking = machines[2].start("up", "--block", "--port", "15000")
    assert blocking.stdout is not None
    assert blocking.stdout.readline().startswith("up: the Ray head 10.77.0.3:15000")
    blocking.send_signal(signal.SIGTERM)
    done = finish(blocking)
    assert (done.code, "ended the Ray head 10.77.0.3:15000" in done.out) == (0, True), done
    assert machines[2].has_nothing()


SRUN = """\
#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --nodelist=* ]] && node=${1#*=}; shift; done
ip netns exec "$(<"$NAMESPACES/$node")" env XDG_STATE_HOME="$XDG_STATE_HOME/$node" "$@" &
trap 'kill -KILL $!' TERM
wait
"""


def test_the_slurm_script_trains_on_all_nodes_of_its_job_until_its_time_is_over(machines, tmp_path):
    """With a `srun` that runs things on hosts, and like Slurm's kills what it is to end. Slurm's own nodes differ in
    name, as what is kept about them does."""
    used, home = machines[:2], machines[0].home
    commands = {
        "srun": SRUN,
        "scontrol": '#!/bin/bash\n[ "$1 $2" = "show hostnames" ] && tr , "\\n" <<<"$3"\n',
        "gen-dist": f'#!/bin/bash\nexec {COMMAND[0]} -m gen_dist.launch.cli "$@"\n',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for machine in used:
        (tmp_path / machine.host.address).write_text(machine.host.name)
    job = {
        "SLURM_JOB_ID": "1234", "SLURM_CPUS_PER_TASK": "1", "NAMESPACES": str(tmp_path),
        "SLURM_JOB_NODELIST": ",".join(machine.host.address for machine in used),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    script = ["bash", str(ROOT / "launch/templates/slurm.sh"), *TINY, "train.steps=100000", "--run-dir", "run"]
    batch = used[0].host.popen(
        [*script, "--workers", "2"], env=used[0].environment(**job), cwd=home, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_for(reached(home / "run", 3))
    batch.send_signal(signal.SIGTERM)
    done = finish(batch)
    assert done.code == 143, f"{done.out}\n{done.err}"
    assert {machine.host.address for machine in used} <= set(re.findall(RANKS, done.out))
    assert last_state(home / "run")["step"] >= 3
    assert not [machine.programs() for machine in used if machine.programs()]
    assert not list((home / ".local/state/gen-dist-jobs").iterdir())
    assert not list(home.glob("gd-*"))
