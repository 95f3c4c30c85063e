"""A run on a Ray cluster that was there before."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.command import environment, gen_dist, last_state, losses, train, wait_for

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}


@pytest.fixture(scope="module")
def head():
    """The address of a Ray head node with a token; started and ended here."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="h", dir=os.environ["TMPDIR"]))
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=2",
               "--include-dashboard=false", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1",
               "--object-store-memory=100000000", "--disable-usage-stats"]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment(**TOKEN), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    address = f"127.0.0.1:{port}"
    wait_for(lambda: answers(port))
    yield address
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_joining_gives_the_same_bits_and_leaves_the_cluster_running(head, tmp_path):
    alone = train(tmp_path, "alone", "smoke", "--no-ray")
    for name, way in {"option": ["--address", head], "variable": []}.items():
        variable = {"RAY_ADDRESS": head} if not way else {}
        joined = train(tmp_path, name, "smoke", "--workers", "2", *way, **TOKEN, **variable)
        assert losses(joined) == losses(alone)
        assert last_state(joined)["hash"] == last_state(alone)["hash"]
    assert answers(int(head.rpartition(":")[2]))


def test_more_workers_than_the_cluster_has_cpus(head, tmp_path):
    done = gen_dist("train", "smoke", "--workers", "3", "--address", head, cwd=tmp_path, **TOKEN)
    assert done.code == 2
    assert "--workers 3: the cluster has CPUs at train.threads=1 for 2; use at most 2, or auto" in done.err
    assert not list(tmp_path.glob("runs/*"))


def test_without_the_token_it_is_refused(head, tmp_path):
    done = gen_dist("train", "smoke", "--address", head, cwd=tmp_path)
    assert done.code == 2
    assert "refused the token" in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
