"""Inception's features and FID beside torch-fidelity's, with the same weights: seeded noise, as nobody trained them.

    python -m benchmarks.peers.install --only fidelity
    python -m benchmarks.inception [--images 256] [--peers FOLDER]

Images of 64 x 64: smooth waves, and the same ones noisier.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.evaluate import shapes
from benchmarks.launch import describe_machine
from benchmarks.peers.install import ROOT, default_folder, python_of
from gen_dist.scores.inception import inception_features, load_inception
from gen_dist.scores.kernel_distance import frechet_distance
from tests.inception_file import noise_weights, write_noise_weights

PEER = ROOT / "benchmarks" / "peers" / "with_fidelity.py"
GOAL = 1e-4  # of the largest feature


def as_others_have_it(path: Path) -> None:
    """A file as torch-fidelity reads it: with classes and counts of batches."""
    tensors = noise_weights()
    norms = [name.removesuffix("weight") for name in tensors if name.endswith("bn.weight")]
    tensors |= {f"{norm}num_batches_tracked": torch.tensor(0) for norm in norms}
    torch.save(tensors | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)


def ours(folder: Path, images: np.ndarray) -> tuple[np.ndarray, float]:
    inception = load_inception(write_noise_weights(folder / "noise.safetensors"))
    inception_features(inception, images[:16])
    start = time.perf_counter()
    found = inception_features(inception, images)
    return found, time.perf_counter() - start


def theirs(python: Path, folder: Path, images: np.ndarray) -> tuple[np.ndarray, float]:
    as_others_have_it(folder / "noise.pth")
    np.save(folder / "images.npy", images)
    command = [python, PEER, folder / "noise.pth", folder / "images.npy", folder / "features.npy"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return np.load(folder / "features.npy"), float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--peers", type=Path, default=default_folder())
    given = parser.parse_args()
    python = python_of(given.peers, "fidelity")
    if python is None:
        raise SystemExit(f"no torch-fidelity in {given.peers}; run python -m benchmarks.peers.install --only fidelity")
    print(describe_machine(), flush=True)
    torch.set_num_threads(1)
    images = shapes(given.images, 1)[0]
    noise = np.random.default_rng(0).normal(0, 30, images.shape)
    noisier = np.clip(images + noise, 0, 255).astype(np.uint8)
    both = np.concatenate((images, noisier))
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        found, seconds = ours(Path(folder), both)
        wanted, their_seconds = theirs(python, Path(folder), both)
    apart = float(np.abs(found - wanted).max() / wanted.max())
    half = len(images)
    distances = [frechet_distance(some[:half], some[half:]) for some in (found, wanted)]
    print(f"features of {len(both):,} images: at most {apart:.1e} of the largest apart, wanted {GOAL:.0e}: "
          f"{'yes' if apart < GOAL else 'NO'}; FID {distances[0]:.5g} and {distances[1]:.5g}")  # fmt: skip
    print(f"images/s, one thread: {len(both) / seconds:.1f}, torch-fidelity {len(both) / their_seconds:.1f}: "
          f"{their_seconds / seconds:.2f} times as fast")  # fmt: skip


if __name__ == "__main__":
    main()
