"""Whether training waits for images: from packs with all of Keras' augmentation, and the loader with nothing behind it.

    python -m benchmarks.step.data_wait [--turns 3]

A GPU's need is an assumption: that a step of DCGAN-64 (its operations an image are counted, see `make bench-step`) gets
40 % of an H100's 989 TFLOP/s in bfloat16. How many of the loader's threads that takes is what the last line says.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.launch import describe_machine
from benchmarks.step.operations import operations_per_image
from benchmarks.training_run import GEN_DIST, run_command
from gen_dist.config import AugmentSettings
from gen_dist.data.loader import Loader
from gen_dist.data.pack import Pack
from gen_dist.data.stream import Batching
from tests.command import rows
from tests.packs import pack_of

IMAGES, BATCH, GOAL = 2048, 128, 0.01
PRESETS = {"dcgan-64": 12, "vae-64": 40, "smoke": 150, "vae-mnist": 150}  # and how many steps
SKIPPED = 5
KERAS = {"rotation": 20.0, "width_shift": 0.1, "height_shift": 0.1, "shear": 10.0, "zoom": 0.1, "brightness": 0.2,
         "horizontal_flip": True}  # fmt: skip
GPU_RATE, GPU_SHARE = 989e12, 0.4
SIZES = {"vae-mnist": (28, 1), "smoke": (32, 3)}


def share_waited(folder: Path, preset: str, steps: int) -> float:
    """The median share of a step, over steps and workers, that goes into waiting for images."""
    size, channels = SIZES.get(preset, (64, 3))
    pack = folder / f"{size}-{channels}"
    if not pack.exists():
        generator = np.random.default_rng(0)
        pack_of(pack, generator.integers(0, 256, (IMAGES, size, size, channels), dtype=np.uint8))
    with tempfile.TemporaryDirectory(prefix="gb-") as base:
        run = Path(base) / "run"
        settings = [f"data.path={pack}", f"data.size={size}", f"train.steps={steps}", "train.log_every=1",
                    "train.sample_every=1000000", "wandb.mode=disabled"]  # fmt: skip
        settings += [f"data.augment.{name}={str(value).lower()}" for name, value in KERAS.items()]
        command = ["train", preset, "--workers", "2", "--run-dir", str(run), *settings]
        run_command([sys.executable, *GEN_DIST, *command])
        return statistics.median(row["perf/data_wait_fraction"] for row in rows(run)[SKIPPED:])


def loader_rate(pack: Pack) -> float:
    """Images a second of one thread, with a consumer that only looks at the batch."""
    batching = Batching(BATCH, BATCH, 1)
    loader = Loader(pack, 0, batching, augment=AugmentSettings(**KERAS), pixel_range=(-1.0, 1.0), threads=1, prefetch=2)
    steps = IMAGES // BATCH
    for step in range(2 * steps):
        if step == steps:
            start = time.perf_counter()
        [microbatch] = loader.get(step, 0, [0])
        microbatch.images[0, 0, 0, 0].item()
        loader.release(step)
    seconds = time.perf_counter() - start
    loader.close()
    return steps * BATCH / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        for preset, steps in PRESETS.items():
            found = [share_waited(Path(folder), preset, steps) for _ in range(turns)]
            share = statistics.median(found)
            print(f"{preset}: {share:.2%} of a step waits for images ({min(found):.2%} to {max(found):.2%}), "
                  f"wanted less than {GOAL:.0%}: {'yes' if share < GOAL else 'NO'}", flush=True)  # fmt: skip
        rates = [loader_rate(Pack.open(Path(folder) / "64-3")) for _ in range(turns)]
    need = GPU_SHARE * GPU_RATE / operations_per_image("dcgan-64")
    rate = statistics.median(rates)
    print(f"loader, 64 x 64, one thread: {rate:,.0f} images/s ({min(rates):,.0f} to {max(rates):,.0f}); a GPU at "
          f"{GPU_SHARE:.0%} of {GPU_RATE / 1e12:.0f} TFLOP/s needs {need:,.0f}: {need / rate:.1f} threads")  # fmt: skip


if __name__ == "__main__":
    main()
