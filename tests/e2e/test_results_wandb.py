"""What commands make of a run is added to the run in Weights & Biases, when that is asked for."""

from pathlib import Path

import pytest

from gen_dist.record.run_folder import RunFolder
from tests.command import gen_dist

SMALL = ("--no-ray", "train.steps=2", "train.sample_every=2", "data.path=bundled:emoji", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32", "model.width=4",
         "model.latent=3")  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("wandb")
    done = gen_dist("train", "vae-64", *SMALL, "--run-dir", "run", cwd=cwd)
    assert done.code == 0, done.err
    return cwd


def media(run: Path) -> list[str]:
    """What W&B's offline folders hold; wandb adds a number to each name."""
    return [str(path) for path in (run / "wandb").glob("offline-run-*/files/media/**/*.*")]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["generate", "--count", 4], ["generate/generated"]),
        (["interpolate", "--out", "way.gif"], ["interpolate/way"]),
        (["latent", "--count", 20, "--side", 3], ["latent/latent-grid", "latent/latent-2d", "latent/latent-3d"]),
    ],
)
def test_it_is_added(command, names, place):
    done = gen_dist(command[0], "run", *command[1:], "--wandb", cwd=place)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1].startswith("W&B: ")
    found = "\n".join(media(place / "run"))
    for name in names:
        assert f"/{name}_" in found


def test_a_run_that_is_being_trained_is_left_alone(place):
    folder = RunFolder.open(place / "run")
    folder.lock()
    done = gen_dist("generate", "run", "--count", 4, "--wandb", cwd=place)
    folder.unlock()
    assert done.code == 0, done.err
    assert "W&B: not told of what generate made (" in done.out


def test_single_files_are_refused(place):
    done = gen_dist("generate", "run", "--out", "folder", "--wandb", cwd=place)
    assert (done.code, done.err) == (2, "gen-dist: --wandb: gets a grid: give --out FILE.png, not folder\n")
    assert not (place / "folder").exists()
