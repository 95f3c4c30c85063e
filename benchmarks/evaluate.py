"""What scoring a run costs: all scores of 10,000 images of 64 x 64, and the sliced Wasserstein distance beside plain
torch.

    python -m benchmarks.evaluate [--images 10000] [--only command|distance]

The images are smooth random waves with classes. The models have had a few steps: time
does not depend on what they have learnt. Memory is the whole command's, every process of it (PSS).
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.launch import describe_machine
from benchmarks.processes import Memory
from benchmarks.training_run import GEN_DIST, run_command
from gen_dist.draws import Draws
from gen_dist.scores.pyramid import pyramid_level, pyramid_sizes
from gen_dist.scores.sliced_wasserstein import PATCH, sliced_wasserstein
from tests.packs import pack_of

SIZE, CHANNELS, CLASSES = 64, 3, 5
PRESETS = {"vae-64": "VAE", "dcgan-64": "GAN"}
GOAL_SECONDS, GOAL_BYTES, GOAL_RATIO, GOAL_DIFFERENCE = 180, 2e9, 2.0, 1e-4
DISTANCE_IMAGES, PATCHES, DIRECTIONS, REPEATS = 500, 128, 512, 3


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (count, 64, 64, 3) and classes: sums of waves, whose directions the class gives."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, count)
    y, x = np.mgrid[0:SIZE, 0:SIZE] * (2 * np.pi / SIZE)
    angle = (labels / CLASSES * np.pi)[:, None, None]
    images = np.zeros((count, SIZE, SIZE, CHANNELS), np.float32)
    for channel in range(CHANNELS):
        waves, phase = generator.uniform(0.5, 4, (count, 1, 1)), generator.uniform(0, 6, (count, 1, 1))
        images[..., channel] = np.sin(waves * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    images += generator.normal(0, 0.1, images.shape).astype(np.float32)
    return ((images + 1.5) * 85).clip(0, 255).astype(np.uint8), labels


def plain_torch(images: np.ndarray, others: np.ndarray, seed: int) -> dict[int, float]:
    """The same distance as straightforward torch: unfold all patches, take those drawn, project, sort, subtract."""
    draws, levels = Draws(seed), {}
    sizes = pyramid_sizes(*images.shape[1:3])
    for level, size in enumerate(sizes):
        sets = []
        for one in (images, others):
            x_NCHW = torch.from_numpy(one.astype(np.float32)).permute(0, 3, 1, 2)
            band = pyramid_level(x_NCHW, level, level == len(sizes) - 1)
            windows = band.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
            drawn = draws.at(0, 0, np.arange(len(one)))
            places = [
                (drawn.uniform(f"scores/{axis}/{level}", PATCHES).double() * count).long()
                for axis, count in (("rows", windows.shape[2]), ("columns", windows.shape[3]))
            ]
            patches = windows[torch.arange(len(one))[:, None], :, places[0], places[1]]
            rows = patches.reshape(len(one) * PATCHES, CHANNELS, PATCH * PATCH)
            rows = rows - rows.mean(dim=(0, 2), keepdim=True)
            rows = rows / rows.std(dim=(0, 2), keepdim=True, correction=0)
            sets.append(rows.reshape(len(rows), -1))
        towards = torch.from_numpy(draws.array(f"scores/directions/{level}", (DIRECTIONS, sets[0].shape[1])))
        towards = towards / towards.norm(dim=1, keepdim=True)
        total = 0.0
        for along in towards.split(32):
            a, b = ((rows @ along.T).sort(dim=0).values for rows in sets)
            total += float((a - b).abs().mean(dim=0).sum())
        levels[min(size)] = 1000 * total / DIRECTIONS
    return levels


def distance_beside_torch() -> None:
    a, b = shapes(DISTANCE_IMAGES, 1)[0], shapes(DISTANCE_IMAGES, 2)[0]
    seconds: dict[str, list[float]] = {"ours": [], "plain torch": []}
    for _ in range(REPEATS):
        for name, take in (("ours", ours), ("plain torch", plain_torch)):
            start = time.perf_counter()
            found = take(a, b, 0)
            seconds[name].append(time.perf_counter() - start)
            print(f"{name}: {seconds[name][-1]:.2f} s, {', '.join(f'{value:.4f}' for value in found.values())}")
    levels, others = ours(a, b, 0), plain_torch(a, b, 0)
    difference = max(abs(levels[size] - others[size]) / others[size] for size in levels)
    ratio = statistics.median(seconds["plain torch"]) / statistics.median(seconds["ours"])
    print(f"sliced Wasserstein, twice {DISTANCE_IMAGES} images: {ratio:.2f} times as fast as plain torch "
          f"(wanted {GOAL_RATIO}), at most {difference:.1e} apart (wanted {GOAL_DIFFERENCE:.0e})")  # fmt: skip


def ours(images: np.ndarray, others: np.ndarray, seed: int) -> dict[int, float]:
    return sliced_wasserstein(images, others, Draws(seed), patches=PATCHES, directions=DIRECTIONS).levels


def command_alone(folder: Path, images: int) -> None:
    for name, count, seed in (("train", 3 * images // 2, 1), ("held-out", images, 2)):  # a third for the classifier
        pixels, labels = shapes(count, seed)
        pack_of(folder / name, pixels, classes=[str(number) for number in range(CLASSES)], labels=labels)
    for preset, kind in PRESETS.items():
        settings = [f"data.path={folder / 'train'}", "train.steps=3", "wandb.mode=disabled"]
        run = str(folder / preset)
        run_command([sys.executable, *GEN_DIST, "train", preset, "--no-ray", "--run-dir", run, *settings])
        options = ["--data", str(folder / "held-out"), "--count", str(images)]
        memory, start = Memory(), time.perf_counter()
        run_command([sys.executable, *GEN_DIST, "evaluate", run, *options], memory=memory)
        print(f"{kind} ({preset}), {images:,} images: {time.perf_counter() - start:.0f} s (wanted {GOAL_SECONDS}), "
              f"{memory.peak / 1e9:.2f} GB (wanted {GOAL_BYTES / 1e9:.0f})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--only", choices=("command", "distance"))
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    if arguments.only != "command":
        distance_beside_torch()
    if arguments.only != "distance":
        with tempfile.TemporaryDirectory() as folder:
            command_alone(Path(folder), arguments.images)


if __name__ == "__main__":
    main()
