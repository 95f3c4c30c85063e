"""How far images made from a smaller inverse transform of a JPEG are from full decoding and Lanczos, as Pillow does it.

`python -m benchmarks.reductions`. Crops of photographs, 4:2:0, quality 90. `left` is how many times the wanted size the
transform leaves for the filter; `prepare` takes the largest reduction that leaves `jpeg_batches.LEFT` times.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.kernel_inputs import crops, encoded
from benchmarks.peers.install import PHOTOGRAPHS, default_folder
from benchmarks.processes import cpu_model
from gen_dist.kernels import jpeg
from gen_dist.preparing.jpeg_batches import LEFT, joined

IMAGES, QUALITY, SIZE, REPEATS = 120, 90, 64, 7
SIDES = (178, 200, 256, 340, 512)
REDUCTIONS = (1, 2, 4)


def measure(photographs: Path, side: int) -> None:
    files = [encoded(image, QUALITY) for image in crops(photographs, IMAGES, (side, side))]
    wanted = np.stack([with_pillow(data) for data in files]).astype(np.int16)
    (blob, offsets), statuses, scratch = joined(files), np.zeros(len(files), np.int32), jpeg.make_scratch()
    out = np.empty(wanted.shape, np.uint8)
    for reduction in REDUCTIONS:
        if side < SIZE * reduction:
            continue
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            jpeg.decode_batch(out, blob, offsets, statuses, filter="lanczos", reduce=reduction, scratch=scratch)
            seconds.append(time.perf_counter() - started)
        assert not statuses.any()
        away = np.abs(out - wanted)
        noise = 10 * np.log10(255**2 / (away.astype(np.float64) ** 2).mean((1, 2, 3)))
        contrast = np.abs(np.diff(out.astype(np.int16), axis=2)).mean() / np.abs(np.diff(wanted, axis=2)).mean()
        print(
            f"{side:5}{reduction:7}{side / SIZE / reduction:8.2f}{away.mean():8.2f}{away.max():6}"
            f"{noise.mean():9.1f}{noise.min():8.1f}{contrast:10.3f}{np.median(seconds) / len(files) * 1e6:10.0f}"
        )


def with_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=default_folder(), help="with photographs; default: %(default)s")
    photographs = parser.parse_args().peers / PHOTOGRAPHS
    if not photographs.is_dir():
        parser.error(f"no {photographs}; first: python -m benchmarks.peers.install")
    print(
        f"LEFT is {LEFT:.2f}; {cpu_model()}; to {SIZE}x{SIZE}; levels of 255; PSNR in dB; contrast of neighbouring "
        "pixels; us an image"
    )
    print(" side reduce    left    mean   max     PSNR   least  contrast        us")
    for side in SIDES:
        measure(photographs, side)


if __name__ == "__main__":
    main()
