"""The fault table of one machine: whatever happens to workers, the run ends with the bits of an undisturbed one.

A row names the faults (see `cluster/faults.py`); each must have fired.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gen_dist.record.event_log import read_events
from tests.command import finish, gen_dist, last_state, reached, rows, start, traces, wait_for

pytestmark = pytest.mark.faults
STEPS = 20
KILLED = "the process died: killed, crashed or out of memory"
# faults; how the worker is named and what its line says
SURVIVED = {
    "killed in import": ("kill worker=1 stage=import", None),
    "killed in the rendezvous": ("kill worker=1 stage=rendezvous", KILLED),
    "killed in forward": ("kill worker=1 step=5 phase=discriminator stage=compute", KILLED),
    "killed in the middle of a reduce": ("kill worker=1 step=5 phase=generator stage=reduce", KILLED),
    "killed before it agrees": ("kill worker=1 step=5 phase=generator stage=agree", KILLED),
    "killed in the optimiser step": ("kill worker=1 step=5 phase=discriminator stage=optimise", KILLED),
    "killed between the phases": ("kill worker=1 step=5 phase=generator stage=data", KILLED),
    "rank 0 killed while it makes a checkpoint": ("kill worker=0 step=10 stage=checkpoint", KILLED),
    "segmentation fault": ("segfault worker=1 step=5 phase=generator stage=compute", KILLED),
    "an exception that no other repeats": ("raise worker=1 step=5 stage=compute", "ValueError: a fault on purpose"),
    "a NaN that no other repeats": ("nan worker=1 step=5 phase=discriminator", "is non-finite on rank 1 only"),
    "two at once": ("kill worker=0 step=5 stage=reduce; kill worker=2 step=5 stage=reduce", KILLED),
    "all but one, one after the other": ("kill worker=0 step=5 stage=agree; kill worker=1 step=6 stage=data", KILLED),
    "all": ("; ".join(f"kill worker={n} step=13 stage=compute" for n in range(3)), "starting again from the last"),
    "stopped, and woken when it is too late": ("stop worker=1 step=5 stage=compute seconds=12", "no answer for"),
}


def with_proofs(faults: str, folder: Path) -> tuple[str, list[Path]]:
    """Each fault with a proof file of its own."""
    parts = faults.split("; ")
    proofs = [folder / f"fired {number}".replace(" ", "-") for number in range(len(parts))]
    return "; ".join(f"{part} proof={proof}" for part, proof in zip(parts, proofs, strict=True)), proofs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The hash of the last state, and the losses at each step."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = gen_dist("train", "smoke", "--no-ray", "--run-dir", "run", "wandb.mode=disabled", cwd=folder)
    assert done.code == 0, done.err
    return last_state(folder / "run")["hash"]


@pytest.mark.parametrize("row", SURVIVED)
def test_the_run_goes_on_to_the_same_bits(row, undisturbed, tmp_path):
    faults, line = SURVIVED[row]
    faults, proofs = with_proofs(faults, tmp_path)
    process = start(
        ["train", "smoke", "--workers", "3", "--run-dir", "run", "train.checkpoint_every=5", "wandb.mode=disabled"],
        tmp_path, GEN_DIST_FAULT=faults,
    )  # fmt: skip
    done = finish(process, 180)
    assert all(proof.exists() for proof in proofs), "a fault never fired"
    assert done.code == 0, done.err
    assert last_state(tmp_path / "run")["hash"] == undisturbed
    assert [row["step"] for row in rows(tmp_path / "run")] == list(range(1, STEPS + 1))
    pictures = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
    assert pictures == ["step-00000010.png", "step-00000020.png"]
    assert traces(process.pid) == []
    if line is not None:
        assert line in done.out
    if line is not None and "step=" in faults:  # the report marks its curves there
        told = [event for event in read_events(tmp_path / "run") if line in event.text]
        assert told
        assert all(3 <= event.step <= 13 for event in told)
        assert line in (tmp_path / "run" / "report.html").read_text()
    assert "Traceback" not in done.out + done.err


def test_an_exception_that_another_repeats_ends_the_run_and_says_where(tmp_path):
    faults, proofs = with_proofs("raise worker=1 step=5 stage=compute; raise worker=0 step=5 stage=compute", tmp_path)
    process = start(["train", "smoke", "--workers", "2", "--run-dir", "run"], tmp_path, GEN_DIST_FAULT=faults)
    done = finish(process, 120)
    assert all(proof.exists() for proof in proofs), "a fault never fired"
    assert done.code == 1
    message = done.err.strip().splitlines()
    assert message[0].startswith("gen-dist: rank ")
    assert "step 5, discriminator phase, compute: ValueError: a fault on purpose" in message[0]
    assert len(message) == 3, done.err
    assert traces(process.pid) == []
    log = (tmp_path / "run" / "log.txt").read_text()
    assert 'faults.py", line' in log  # the traceback
    assert "failed" in gen_dist("status", "run", cwd=tmp_path).out
    again = gen_dist(*message[2].split("gen-dist ", 1)[1].split(), cwd=tmp_path)
    assert again.code == 0, again.err
    assert [row["step"] for row in rows(tmp_path / "run")] == list(range(1, STEPS + 1))


def test_a_replacement_joins_and_survives_its_own_recovery(undisturbed, tmp_path):
    """The second fault hits the worker that replaces the first."""
    faults, proofs = with_proofs("kill worker=1 step=5 stage=compute; kill worker=2 stage=import", tmp_path)
    command = ["train", "smoke", "--workers", "2", "--run-dir", "run", "train.steps=100000", "train.log_every=50"]
    process = start(command, tmp_path, GEN_DIST_FAULT=faults)
    log = tmp_path / "run" / "log.txt"
    wait_for(lambda: log.exists() and "worker 3 on" in log.read_text() and "joins" in log.read_text(), 120)
    process.send_signal(signal.SIGTERM)
    done = finish(process, 60)
    assert all(proof.exists() for proof in proofs), "a fault never fired"
    assert done.code == 143, done.err
    assert "worker 2 on" in done.out
    assert "cannot join: the process died" in done.out
    assert traces(process.pid) == []
    step = last_state(tmp_path / "run")["step"]
    alone = gen_dist(
        "train", "smoke", "--no-ray", "--run-dir", "alone", f"train.steps={step}", "wandb.mode=disabled",
        "train.log_every=50", cwd=tmp_path,
    )  # fmt: skip
    assert alone.code == 0, alone.err
    assert last_state(tmp_path / "alone")["hash"] == last_state(tmp_path / "run")["hash"]


def test_a_killed_driver_leaves_no_process_behind(tmp_path):
    process = start(["train", "smoke", "--workers", "2", "--run-dir", "run", "train.steps=100000"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) > 4
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=10.0)
    assert not alive, [p.cmdline() for p in alive]
    wait_for(lambda: traces(process.pid) == [], 10.0)
    assert "died without a word" in gen_dist("status", "run", cwd=tmp_path).out


def test_without_its_control_store_a_run_ends_and_leaves_no_process_behind(tmp_path):
    process = start(["train", "smoke", "--workers", "2", "--run-dir", "run", "train.steps=100000"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    servers = [p for p in psutil.Process(process.pid).children(recursive=True) if "gcs_server" in p.name()]
    servers[0].kill()
    done = finish(process, 60)
    assert done.code == 1
    assert "the Ray head has died" in done.err
    assert "gen-dist train --resume" in done.err
    assert "Traceback" not in done.out + done.err
    assert traces(process.pid) == []


def test_strangers_are_refused(tmp_path):
    """Ray listens on every interface, also in a run on one machine: it asks for a token. What is ours listens on
    loopback only."""
    process = start(["train", "smoke", "--workers", "2", "--run-dir", "run", "train.steps=100000"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    listening = {
        p.name(): [c.laddr for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        for p in psutil.Process(process.pid).children(recursive=True)
    }
    listening["driver"] = [c.laddr for c in psutil.Process(process.pid).net_connections("tcp") if c.status == "LISTEN"]
    [port] = [address.port for address in listening["gcs_server"]]
    stranger = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    stranger["RAY_NUM_REDIS_GET_RETRIES"] = "3"  # seconds that they insist
    client = [sys.executable, "-c", f"import ray; ray.init('127.0.0.1:{port}', log_to_driver=False)"]
    node = [str(Path(sys.executable).with_name("ray")), "start", f"--address=127.0.0.1:{port}", "--num-cpus=1"]
    refused = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=stranger)
        for command in (client, node)
    ]
    said = [one.communicate(timeout=90)[0].lower() for one in refused]
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    for one, words in zip(refused, said, strict=True):
        assert one.returncode != 0
        assert "token" in words
    ours = {name: found for name, found in listening.items() if name == "driver" or "TrainWorker" in name}
    assert ours.keys() > {"driver"}
    for found in ours.values():
        assert [address.ip for address in found if address.ip != "::"] == ["127.0.0.1"]  # the store, or gloo
        assert len(found) == 2  # the other one is Ray's
    assert done.code == 143
    assert traces(process.pid) == []
