"""A run on a Ray cluster that was there before."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.command import environment, finish, gen_dist, last_state, losses, start, train, wait_for

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


def test_preparing_on_it_gives_the_same_pack(head, tmp_path):
    source = tmp_path / "source"
    for number in range(150):
        folder = source / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.{('png', 'jpg')[number % 2]}")
    (source / "0" / "broken.jpg").write_bytes((source / "0" / "003.jpg").read_bytes()[:300])
    for name, way in {"here": [], "there": ["--address", head]}.items():
        done = gen_dist("prepare", source, name, "--size", "16", *way, cwd=tmp_path, **TOKEN)
        assert done.code == 0, done.err
        assert f"{name}: 150 images of 16x16" in done.out
        assert "rejected: 1" in done.out
    here, there = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert here == there


def test_preparing_survives_the_death_of_a_process_that_decodes(head, tmp_path):
    arrays = tmp_path / "images.npy"
    np.save(arrays, np.random.default_rng(0).integers(0, 256, (30_000, 40, 40, 3), dtype=np.uint8))
    process = start(["prepare", arrays, "pack", "--size", "24", "--address", head], tmp_path, **TOKEN)
    killed: list[psutil.Process] = []
    wait_for(lambda: killed.extend(p for p in psutil.process_iter() if is_decoding(p)) or killed)
    killed[0].kill()
    done = finish(process)
    assert (done.code, done.err) == (0, "")
    assert "pack: 30000 images of 24x24" in done.out
    assert gen_dist("prepare", arrays, "alone", "--size", "24", cwd=tmp_path).code == 0
    assert (tmp_path / "pack" / "images-00000.npy").read_bytes() == (
        tmp_path / "alone" / "images-00000.npy"
    ).read_bytes()


def is_decoding(process: psutil.Process) -> bool:
    """Ray names its processes after what they do."""
    try:
        return "decode_there" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_scores_do_not_depend_on_who_computes_them(head, tmp_path):
    """Neither run nor images are known to the cluster's processes."""
    settings = ["data.size=32", "model.latent=6", "model.width=4", "train.steps=2", "train.precision=fp32"]
    train(tmp_path, "run", "vae-64", "--no-ray", "data.path=bundled:emoji", *settings)
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "unseen.npy", noise)
    for name, way in {"here": [], "there": ["--address", head]}.items():
        done = gen_dist("evaluate", "run", "--data", "unseen.npy", "--out", f"{name}.json", *way, cwd=tmp_path, **TOKEN)
        assert done.code == 0, done.err
    here, there = ((tmp_path / f"{name}.json").read_bytes() for name in ("here", "there"))
    assert here == there


def test_preparing_on_a_cluster_that_is_not_there(tmp_path):
    (tmp_path / "source").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "source" / "1.png")
    done = gen_dist("prepare", "source", "pack", "--size", "8", "--address", "127.0.0.1:1", cwd=tmp_path)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--address 127.0.0.1:1: Connection refused; is the Ray head node running there?" in done.err
    assert os.listdir(tmp_path) == ["source"]


def test_a_plan_for_it(head, tmp_path):
    tiny = ["data.size=16", "model.generator_width=4", "model.discriminator_width=4", "--seconds", "0.1"]
    done = gen_dist("plan", "smoke", *tiny, "--workers", "1,2", "--json", "--address", head, cwd=tmp_path, **TOKEN)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [row["workers"] for row in found["predictions"]] == [1, 2]
    assert sorted(found["machines"][0]["images_per_second"]) == ["1", "2"]  # how many computed at once
    assert [link["from"] == link["to"] for link in found["links"]] == [True]
    for row in found["predictions"]:
        assert row["images_per_second"] == pytest.approx(32 / row["step_seconds"])
        assert row["step_seconds"] == pytest.approx(sum(row["parts"].values()))
    assert not list(tmp_path.iterdir())
