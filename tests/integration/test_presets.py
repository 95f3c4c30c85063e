"""Every preset trains on two Ray workers, writes checkpoints, goes on from them and draws images.

A row is a preset and what it trains on; its networks are made narrow, layer by layer, and its batch small.
`make presets` trains them as they are.
"""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.presets import load_config, preset_names
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint
from tests.command import environment, rows
from tests.conftest import write_pack

# What stands for a preset's data: "emoji", or the side and channels of images made here.
DATA = {
    "dcgan-32": "emoji",
    "dcgan-64": (64, 3),
    "dcgan-cars64": (64, 3),
    "dcgan-celeba64": (64, 3),
    "dcgan-emoji": "emoji",
    "dcgan-faces32": "emoji",
    "dcgan-grow-64": (64, 3),
    "dcgan-one-stage-64": (64, 3),
    "dcgan-sprites64": (64, 3),
    "gan-balanced64": (64, 3),
    "gan-custom16": (16, 3),
    "gan-mnist32": (32, 1),
    "gan-vanilla128": (128, 3),
    "smoke": "emoji",
    "sngan-64": (64, 3),
    "sngan-small": (64, 3),
    "vae-64": (64, 3),
    "vae-64-sharp": (64, 3),
    "vae-caltech128": (128, 3),
    "vae-caltech92": (92, 3),
    "vae-celeba64": (64, 3),
    "vae-cifar10": "emoji",
    "vae-emoji": "emoji",
    "vae-faces64-mlp": (64, 3),
    "vae-mnist": (28, 1),
    "vae-mnist-conv": (28, 1),
    "vae-mnist-fc": (28, 1),
    "vae-mnist-latent2": (28, 1),
    "vae-mnist-latent3": (28, 1),
    "vae-skyline64": (64, 3),
    "vaegan-64": (64, 3),
}
# Where the narrow, short run would leave out what the preset is about.
MORE = {
    "dcgan-grow-64": ["model.stage_steps=1", "model.fade_steps=1"],  # every stage has had its turn after 7 steps
    "gan-mnist32": ["model.initial_weights=glorot"],  # from 0.02, a narrow network draws grey for hundreds of steps
    "vae-64-sharp": ["objective.kl_warmup_steps=2", "optimizer.warmup_steps=1", "optimizer.decay_steps=5"],
}
STEPS, MORE_STEPS = 4, 8
SHORT = ["train.batch_size=8", "train.microbatch_size=4", "train.device=cpu", "train.precision=fp32",
         "train.log_every=1", "train.checkpoint_every=2", "train.sample_every=4", "train.ema_decay=0.5",
         "wandb.mode=disabled"]  # fmt: skip


def test_every_preset_has_a_row():
    assert set(DATA) == set(preset_names())


def narrow(preset: str) -> list[str]:
    """Overrides that leave a preset's layers as they are, but for their width."""
    found = []
    for key, value in load_config(preset).model.model_dump().items():
        if key.endswith("width"):
            found.append(f"model.{key}=4")
        elif key.endswith("layers") and value:
            layers = [re.sub(r"\d+(?=k)|(?<=fc)\d+|(?<=map)\d+", "4", layer) for layer in value]
            found.append(f"model.{key}=[{', '.join(layers)}]")
    return found


class Driver:
    """Trains, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.preset_driver"], env=environment(), text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, preset: str, overrides: list[str], run: Path, picture: Path | None = None) -> None:
        """Train `preset`, or go on with `run`; then draw images."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        order = {"preset": preset, "overrides": overrides, "run": str(run), "picture": picture and str(picture)}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"the driver ended with exit code {self.process.wait()}"
        assert not json.loads(answer)["error"], json.loads(answer)["error"]

    def end(self) -> None:
        self.process.communicate(timeout=60)  # closes its input, which ends it
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.end()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Callable[[str], str]:
    """The `data.path` of a row."""
    folder = tmp_path_factory.mktemp("data")

    def of(preset: str) -> str:
        wanted = DATA[preset]
        if isinstance(wanted, str):
            return "bundled:emoji"
        size, channels = wanted
        path = folder / f"{size}-{channels}"
        return str(path if path.exists() else write_pack(path, size=size, channels=channels))

    return of


@pytest.mark.parametrize("preset", DATA)
def test_trains_goes_on_and_draws(preset, driver, data, tmp_path):
    run, picture = tmp_path / "run", tmp_path / "drawn.png"
    settings = [*SHORT, *narrow(preset), *MORE.get(preset, []), f"data.path={data(preset)}"]
    driver.run(preset, [*settings, f"train.steps={STEPS}"], run)
    before = checkpoint(run)
    driver.run(preset, [*settings, f"train.steps={MORE_STEPS}"], run, picture)
    recorded = rows(run)
    assert [row["step"] for row in recorded] == list(range(1, MORE_STEPS + 1))
    assert all(math.isfinite(value) for row in recorded for key, value in row.items() if key.startswith("train/"))
    terms = {key for row in recorded for key in row if key.endswith("loss")}
    assert terms
    for term in terms:
        assert len({row[term] for row in recorded if term in row}) > 1, term
    after = checkpoint(run)
    assert (before["step"], after["step"]) == (STEPS, MORE_STEPS)
    assert before["hash"] != after["hash"]
    drawn, size = np.asarray(Image.open(picture)), load_config(preset).data.size
    assert min(drawn.shape[:2]) >= 2 * size
    assert drawn.std() > 0


def checkpoint(run: Path) -> dict[str, object]:
    """What the last one says of itself; its files are as they were written."""
    path = latest_checkpoint(run)
    assert path is not None
    return json.loads(read_checkpoint(path)["state.json"])
