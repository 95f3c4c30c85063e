"""torchrun's ranks: they agree before they train, stop together, and rank 0 alone says what went wrong."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.command import ROOT, environment, finish, gen_dist, last_state, losses, reached, rows, train, wait_for
from tests.conftest import write_pack

pytestmark = pytest.mark.slow
SMOKE = ("smoke", "--run-dir", "run")
KILL_SECONDS = 30.0  # torchrun's patience with a rank that it told to end


@dataclass
class Ranks:
    """Two ranks that torchrun started in `cwd`; every rank's output goes to files of its own."""

    torchrun: subprocess.Popen[str]
    cwd: Path
    port: int

    def said(self, rank: int, stream: str = "stderr") -> list[str]:
        [path] = (self.cwd / "logs").glob(f"*/attempt_0/{rank}/{stream}.log")
        return path.read_text().splitlines()

    def process(self, rank: int) -> psutil.Process:
        """The process that torchrun told that it is this rank."""
        children = psutil.Process(self.torchrun.pid).children()
        [found] = [child for child in children if child.environ().get("RANK") == str(rank)]
        return found

    def at_the_store(self) -> bool:
        """Whether all ranks are connected to where they meet."""
        children = psutil.Process(self.torchrun.pid).children()
        return sum(any(c.raddr and c.raddr.port == self.port for c in p.net_connections()) for p in children) == 2

    def finish(self) -> dict[int, int]:
        """Wait for the end; the exit codes of ranks that failed, as torchrun reports them (a signal: negative)."""
        err = finish(self.torchrun).err
        pairs = re.findall(r"rank\s+: (\d+) \(local_rank: \d+\)\s+exitcode\s+: (-?\d+)", err)
        return {int(rank): int(code) for rank, code in pairs}


def torchrun(cwd: Path, *arguments: object, prelude: str = "", **changes: str) -> Ranks:
    """Start `gen-dist train`; each rank runs the shell commands `prelude` first."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = f'{prelude}\nexec "$0" -m gen_dist.launch.cli train "$@" --no-ray wandb.mode=disabled'
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1",
               f"--master-port={port}", "--log-dir=logs", "--redirects=3", "--no-python",
               "bash", "-c", script, sys.executable, *map(str, arguments)]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=cwd, env=environment(**changes), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    return Ranks(process, cwd, port)


def assert_refused(ranks: Ranks, message: str) -> None:
    """By rank 0, in one line that contains `message`, before there is a run."""
    began = time.monotonic()
    codes = ranks.finish()
    assert time.monotonic() - began < KILL_SECONDS, "torchrun had to kill a rank"
    assert codes[0] == 2
    [line] = ranks.said(0)
    assert message in line
    assert ranks.said(1) == []
    assert not (ranks.cwd / "run").exists()


def test_other_data_on_another_rank_is_refused(tmp_path):
    for rank, images in ((0, 37), (1, 38)):
        write_pack(tmp_path / f"rank{rank}" / "pack", images)
    overrides = ("data.path=pack", "data.size=16")
    ranks = torchrun(tmp_path, "smoke", "--run-dir", tmp_path / "run", *overrides, prelude="cd rank$RANK")
    assert_refused(ranks, f"data of rank 1 on {socket.gethostname()}: other content than rank 0's")


def test_a_rank_without_the_data_is_named(tmp_path):
    write_pack(tmp_path / "rank0" / "pack")
    (tmp_path / "rank1").mkdir()
    overrides = ("data.path=pack", "data.size=16")
    ranks = torchrun(tmp_path, "smoke", "--run-dir", tmp_path / "run", *overrides, prelude="cd rank$RANK")
    assert_refused(ranks, f"rank 1 on {socket.gethostname()}: data.path 'pack': no such file or folder")


def test_other_source_on_another_rank_is_refused(tmp_path):
    for folder in ("gen_dist", "kernels", "cluster", "launch", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / "other" / folder, symlinks=True)
    with open(tmp_path / "other" / "gen_dist" / "errors.py", "a") as source:
        source.write("# changed\n")
    ranks = torchrun(tmp_path, *SMOKE, prelude=f"[ $RANK = 0 ] || export PYTHONPATH={tmp_path}/other")
    assert_refused(ranks, f"gen-dist of rank 1 on {socket.gethostname()}: other source than rank 0's")


@pytest.mark.parametrize("override", ["train.step=3", "data.path=nowhere", "train.device=cuda"])
def test_bad_input_is_refused_once(override, tmp_path):
    ranks = torchrun(tmp_path, *SMOKE, override, CUDA_VISIBLE_DEVICES="")
    assert_refused(ranks, override.partition("=")[0])


def test_bad_input_that_is_found_late_is_told_once(tmp_path):
    train(tmp_path, "narrow", "smoke", "--no-ray", "train.steps=1")
    ranks = torchrun(tmp_path, *SMOKE, "--init-from", "narrow", "model.generator_width=16")
    assert ranks.finish()[0] == 2
    assert len(ranks.said(0)) == 1
    assert ranks.said(1) == []


def test_the_data_may_take_longer_to_prepare_than_a_collective(tmp_path):
    """Another process holds the lock on the prepared data, as rank 0 would while it prepares."""
    (tmp_path / "images").mkdir()
    for number in range(8):
        picture = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
    data = ("data.path=images", "data.size=16", "train.steps=2", "cluster.timeout_seconds=12")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    train(tmp_path, "plain", "smoke", "--no-ray", *data, **cache)
    [path] = (tmp_path / "cache" / "gen-dist" / "packs").glob("*.lock")
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ranks = torchrun(tmp_path, *SMOKE, *data, **cache)
        wait_for(ranks.at_the_store)
        time.sleep(14)
        assert not (tmp_path / "run").exists()
    assert ranks.finish() == {}
    assert last_state(tmp_path / "run")["step"] == 2


@pytest.mark.faults
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("kill worker=1 step=5 phase=generator stage=compute", "rank 1 on {}.*step 5, .*the process died"),
        ("kill worker=1 step=5 phase=discriminator stage=data", "rank 1 on {}.*step 5, .*the process died"),
        (
            "raise worker=1 step=5 phase=generator stage=compute",
            "rank 1 on {}.*step 5, .*: ValueError: a fault on purp",
        ),
        (
            "raise worker=0 step=5 phase=generator stage=compute",
            "an error inside gen-dist: ValueError: a fault on purp",
        ),
    ],
)
def test_a_rank_fails_and_rank_0_says_so(fault, message, tmp_path):
    proof = tmp_path / "fired"
    arguments = (*SMOKE, "train.checkpoint_every=2")
    ranks = torchrun(tmp_path, *arguments, GEN_DIST_FAULT=f"{fault} proof={proof}")
    assert ranks.finish()[0] == 1
    assert proof.exists(), "the fault never fired"
    assert time.time() - proof.stat().st_mtime < KILL_SECONDS, "torchrun had to kill a rank"
    said = ranks.said(0)
    assert re.match("gen-dist: " + message.format(re.escape(socket.gethostname())), said[0])
    assert str(tmp_path / "run" / "log.txt") in said[1]
    assert len(said) == 3, said
    assert ranks.said(1) == []
    assert "Traceback" in (tmp_path / "run" / "log.txt").read_text()
    assert "failed" in gen_dist("status", "run", cwd=tmp_path).out

    again = gen_dist(*said[2].split("gen-dist ", 1)[1].split(), cwd=tmp_path)
    assert again.code == 0, again.err
    assert [row["step"] for row in rows(tmp_path / "run")] == list(range(1, 21))


@pytest.mark.parametrize("who", ["torchrun", "rank 1"])
def test_stopped_by_sigterm_and_resumed_it_ends_like_one_left_alone(who, tmp_path):
    arguments = ("smoke", "train.steps=45", "train.checkpoint_every=100", "model.dropout=0.2")
    assert torchrun(tmp_path, *arguments, "--run-dir", "alone").finish() == {}
    shutil.rmtree(tmp_path / "logs")
    ranks, run = torchrun(tmp_path, *arguments, "--run-dir", "run"), tmp_path / "run"
    wait_for(reached(run, 8))
    os.kill(ranks.torchrun.pid if who == "torchrun" else ranks.process(1).pid, signal.SIGTERM)
    ranks.finish()
    assert "stopped after step" in "\n".join(ranks.said(0, "stdout"))
    assert ranks.said(0) == ranks.said(1) == []
    stopped = last_state(run)["step"]
    assert 8 <= stopped < 45
    assert list(losses(run)) == list(range(1, stopped + 1))

    shutil.rmtree(tmp_path / "logs")
    again = torchrun(tmp_path, *arguments, "--run-dir", "run")
    assert again.finish() == {}
    assert list(losses(run)) == list(range(1, 46))
    assert losses(run) == losses(tmp_path / "alone")
    assert last_state(run)["hash"] == last_state(tmp_path / "alone")["hash"]


NOTING_THREADS = """
import atexit, os, runpy
from pathlib import Path

def note():
    names = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    Path(f"threads-{os.environ['RANK']}").write_text(" ".join(names))

atexit.register(note)
runpy.run_module("gen_dist.launch.cli", run_name="__main__")
"""


def test_the_group_ends_before_the_process(tmp_path):
    """Threads of gloo that were left at exit sometimes aborted the process, on a busy machine."""
    (tmp_path / "noting.py").write_text(NOTING_THREADS)
    instead = 'exec "$0" noting.py train "$@" --no-ray wandb.mode=disabled'
    ranks = torchrun(tmp_path, *SMOKE, "train.steps=1", prelude=instead)
    assert ranks.finish() == {}
    for rank in range(2):
        names = (tmp_path / f"threads-{rank}").read_text()
        assert names
        assert "gloo" not in names
