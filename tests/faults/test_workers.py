"""A worker that dies or raises ends the run cleanly: one message within 10 s, and nothing is left behind."""

import os
import signal
import time

import psutil
import pytest

from tests.command import finish, gen_dist, reached, rows, start, traces, wait_for

pytestmark = pytest.mark.faults
FAULTS = {
    "killed between phases": (
        "kill rank=1 step=5 phase=generator stage=data",
        "rank 1",
        "killed, crashed or",
    ),
    "killed in compute": (
        "kill rank=0 step=5 phase=discriminator stage=compute",
        "rank 0",
        "killed, crashed or",
    ),
    "segmentation fault": (
        "segfault rank=1 step=5 phase=generator stage=compute",
        "rank 1",
        "killed, crashed or",
    ),
    "exception": ("raise rank=1 step=5 phase=generator stage=compute", "rank 1", "ValueError: a fault on purpose"),
}
CLEAN_SECONDS = 10.0


@pytest.mark.parametrize("row", FAULTS)
def test_a_worker_fails_and_the_run_says_so(row, tmp_path):
    fault, rank, cause = FAULTS[row]
    proof = tmp_path / "fired"
    process = start(
        ["train", "smoke", "--workers", "2", "--run-dir", "run", "train.checkpoint_every=2"],
        tmp_path, GEN_DIST_FAULT=f"{fault} proof={proof}",
    )  # fmt: skip
    done = finish(process)
    assert proof.exists(), "the fault never fired"
    assert time.time() - proof.stat().st_mtime < CLEAN_SECONDS
    assert done.code == 1
    message = done.err.strip().splitlines()
    assert message[0].startswith(f"gen-dist: {rank} on ")
    assert cause in message[0]
    assert "step 5, " in message[0]
    assert str(tmp_path / "run" / "log.txt") in message[1]
    assert len(message) == 3, done.err
    assert traces(process.pid) == []
    status = gen_dist("status", "run", cwd=tmp_path).out
    assert "failed" in status
    assert "at step 4: discriminator_loss" in status
    if row == "exception":
        assert "a fault on purpose" in (tmp_path / "run" / "log.txt").read_text()
        assert 'faults.py", line' in (tmp_path / "run" / "log.txt").read_text()  # the traceback

    again = gen_dist(*message[2].split("gen-dist ", 1)[1].split(), cwd=tmp_path)
    assert again.code == 0, again.err
    assert [row["step"] for row in rows(tmp_path / "run")] == list(range(1, 21))


def test_a_killed_driver_leaves_no_process_behind(tmp_path):
    process = start(["train", "smoke", "--workers", "2", "--run-dir", "run", "train.steps=100000"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) > 4
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=CLEAN_SECONDS)
    assert not alive, [p.cmdline() for p in alive]
    wait_for(lambda: traces(process.pid) == [], CLEAN_SECONDS)
    assert "died without a word" in gen_dist("status", "run", cwd=tmp_path).out


def test_a_stranger_without_the_token_is_refused(tmp_path):
    """Ray listens on every interface, also in a run on one machine."""
    process = start(["train", "smoke", "--workers", "1", "--run-dir", "run", "train.steps=100000"], tmp_path)
    wait_for(reached(tmp_path / "run", 3))
    servers = [p for p in psutil.Process(process.pid).children(recursive=True) if "gcs_server" in p.name()]
    [port] = {c.laddr.port for p in servers for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    code = f"import ray; ray.init('127.0.0.1:{port}', log_to_driver=False)"
    import subprocess
    import sys

    stranger = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False,
                              env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")})  # fmt: skip
    process.send_signal(signal.SIGTERM)
    done = finish(process)
    assert stranger.returncode != 0
    assert "token" in stranger.stderr.lower()
    assert done.code == 143
