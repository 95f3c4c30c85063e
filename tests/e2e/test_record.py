"""What a run leaves: W&B's files, checkpoints on a full disk."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.command import ROOT, gen_dist, last_state, rows, train
from tests.wandb_offline import read_offline


def test_offline_wandb_of_a_twice_resumed_run_holds_every_step_once(tmp_path):
    for steps in (7, 13, 20):
        done = gen_dist("train", "smoke", "--workers", "2", "--run-dir", "run", f"train.steps={steps}", cwd=tmp_path)
        assert done.code == 0, done.err
    folders = sorted((tmp_path / "run" / "wandb").glob("offline-run-*"))
    assert len(folders) == 3
    assert str(folders[-1]) in done.out
    assert len({folder.name.rsplit("-", 1)[1] for folder in folders}) == 1  # the same W&B run
    configs, histories, media = zip(*map(read_offline, folders), strict=True)
    history = [row for part in histories for row in part if "train/generator_loss" in row]
    assert [row["_step"] for row in history] == [row["step"] for row in rows(tmp_path / "run")] == list(range(1, 21))
    assert {"train/discriminator_loss", "perf/images_per_second"} <= history[0].keys()
    times = {"perf/data_wait_fraction", "time/forward", "time/discriminator/backward", "time/rank 1/wait"}
    assert times <= history[1].keys()  # of a step before
    assert configs[0]["model"]["generator_width"] == 8
    assert any(path.suffix == ".png" for part in media for path in part)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("way", [["--no-ray"], ["--workers", "2"]])
def test_a_full_disk_ends_the_run_in_one_line_and_the_old_checkpoint_stays(way, small_disk, tmp_path):
    keeping = ["train.checkpoint_every=2", "train.keep_checkpoints=100", "train.steps=40", "wandb.mode=disabled"]
    done = gen_dist("train", "smoke", *way, "--run-dir", "disk/run", *keeping, cwd=tmp_path)
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1, done.err
    checkpoints = sorted(p.name for p in (small_disk / "run" / "checkpoints").glob("step-*"))
    assert checkpoints[-1] in done.err
    assert "intact" in done.err
    stopped = last_state(small_disk / "run")["step"]
    assert f"step-{stopped:08d}" == checkpoints[-1]
    assert 2 <= stopped < 40

    for old in checkpoints[:-1]:
        for file in sorted((small_disk / "run" / "checkpoints" / old).iterdir()):
            file.unlink()
        (small_disk / "run" / "checkpoints" / old).rmdir()
    run = train(tmp_path, "disk/run", "smoke", *way, *keeping[:1], "train.keep_checkpoints=1", "train.steps=40")
    assert [row["step"] for row in rows(run)] == list(range(1, 41))
    assert last_state(run)["step"] == 40


def test_the_run_folder_is_what_the_readme_says(tmp_path):
    run = train(tmp_path, "run", "vae-emoji", "--no-ray", "train.steps=4", "train.sample_every=2", "train.log_every=2")
    found = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert {
        "config.yaml", "metrics.jsonl", "log.txt", "run.json", "status.json", "checkpoints/latest",
        "samples/step-00000002.png", "samples/step-00000004.png", "reconstructions/step-00000004.png",
        "checkpoints/step-00000004/weights.safetensors", "checkpoints/step-00000004/optimizer.safetensors",
        "checkpoints/step-00000004/ema.safetensors", "checkpoints/step-00000004/state.json",
    } <= found  # fmt: skip
    assert [row["step"] for row in rows(run)] == [1, 2, 4]
    assert not list(Path(run).rglob("*.tmp*"))


def test_it_trains_on_a_machine_with_neither_ray_nor_wandb(tmp_path):
    for name in ("ray", "wandb"):
        (tmp_path / "absent" / name).mkdir(parents=True)
        (tmp_path / "absent" / name / "__init__.py").write_text(f"raise ImportError('No module named {name}')")
    run = tmp_path / "run"
    path = os.pathsep.join([str(tmp_path / "absent"), str(ROOT)])
    done = gen_dist("train", "smoke", "--no-ray", "--run-dir", run, cwd=tmp_path, PYTHONPATH=path)
    assert done.code == 0, done.err
    assert last_state(run)["step"] == 20
    assert "W&B: not recorded" in done.out
    assert "No module named wandb" in (run / "log.txt").read_text()
    assert gen_dist("generate", run, "--out", "x.png", cwd=tmp_path, PYTHONPATH=path).code == 0
