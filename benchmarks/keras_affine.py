"""Our affine kernel against keras-preprocessing 1.1.2, and the tests' NumPy twin against scipy: largest differences.

Needs scipy and keras-preprocessing beside NumPy and Numba, which the project does not install; run it as
`PYTHONPATH=. <that environment's python> -m benchmarks.keras_affine`.

Keras 1.1.2 takes size / 2 + 0.5 for the centre, later Keras and RECIPES.md size / 2 - 0.5. So its function is called
once with the latter, and once as it is installed, while our matrix is moved to its centre. Places within 1e-6 of a
border are left out for the modes that jump there (constant and wrap). Exits with 1 if anything differs by 1e-3 of a
grey level or more.
"""

import sys
import warnings
from collections import defaultdict

import numpy as np
import scipy.ndimage
from keras_preprocessing.image import affine_transformations as keras

from gen_dist.kernels.affine import FILL_MODES, matrices
from gen_dist.kernels.augment import augment
from tests.naive import augment as naive

INSTALLED = keras.transform_matrix_offset_center
CASES, FILL_VALUE, TOLERANCE = 300, 7, 1e-3


def main() -> int:
    warnings.simplefilter("ignore")  # Keras calls scipy by a name that is going away
    worst: dict[str, float] = defaultdict(float)
    for case in range(CASES):
        compare(np.random.default_rng(case), case, worst)
    for name, difference in sorted(worst.items()):
        print(f"{name:45} {difference:.1e}")
    return int(max(worst.values()) >= TOLERANCE)


def compare(rng: np.random.Generator, case: int, worst: dict[str, float]) -> None:
    """S4's recipe at 64² first, then any sizes with changes several times as strong."""
    strength = 1 if case < 50 else 6
    height, width, channels = (64, 64, 3) if case < 50 else (*rng.integers(1, 70, 2), rng.choice([1, 3, 4]))
    image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    theta, down, right, shear = rng.uniform(-1, 1, 4) * [10, 0.1, 0.1, 0.15] * strength
    zooms = rng.uniform(0.9, 1.1, 2) ** strength
    given = (theta, down, right, shear, *zooms)
    [ours] = matrices(*(np.array([value]) for value in given), height, width)
    for mode in FILL_MODES:
        changes = {"theta": theta, "tx": down * height, "ty": right * width, "shear": shear}
        changes |= {"zx": zooms[0], "zy": zooms[1], "fill_mode": mode, "cval": FILL_VALUE, "order": 1}
        for name, offset in (("centre -0.5", -0.5), ("as installed", 0.5)):
            theirs = keras_affine(image, offset, changes)
            matrix = ours + moved(ours, offset + 0.5)
            note(worst, f"kernel, Keras {name}, {mode}", kernel(image, matrix, mode), theirs, matrix, mode)
        if case % 5 == 0:
            planes = [
                scipy.ndimage.affine_transform(
                    plane, ours[:, :2], ours[:, 2], order=1, mode=mode, cval=FILL_VALUE, output=np.float64
                )
                for plane in np.moveaxis(image, 2, 0)
            ]
            twin = naive.affine(image, ours, mode, FILL_VALUE)
            note(worst, f"NumPy twin, scipy, {mode}", twin, np.stack(planes, axis=2), ours, mode)


def moved(matrix: np.ndarray, by: float) -> np.ndarray:
    """What a centre further by this much in both directions adds to a matrix."""
    return np.concatenate([np.zeros((2, 2)), (by - matrix[:, :2] @ [by, by])[:, None]], axis=1)


def keras_affine(image: np.ndarray, offset: float, changes: dict) -> np.ndarray:
    def around_centre(matrix: np.ndarray, height: float, width: float) -> np.ndarray:
        y, x = height / 2 + offset, width / 2 + offset
        there, back = np.array([[[1, 0, y], [0, 1, x], [0, 0, 1]], [[1, 0, -y], [0, 1, -x], [0, 0, 1]]])
        return there @ matrix @ back

    keras.transform_matrix_offset_center = INSTALLED if offset == 0.5 else around_centre
    return keras.apply_affine_transform(image.astype(np.float32), **changes)


def kernel(image: np.ndarray, matrix: np.ndarray, mode: str) -> np.ndarray:
    out, zero = np.empty((1, *image.shape), np.float32), np.zeros(1, np.int64)
    options = {"fill_mode": mode, "fill_value": FILL_VALUE, "low": 0, "high": 255}
    augment(out, image[None], zero, zero, matrices=matrix[None], **options)
    return out[0]


def note(
    worst: dict[str, float], name: str, ours: np.ndarray, theirs: np.ndarray, matrix: np.ndarray, mode: str
) -> None:
    difference = np.abs(ours.astype(np.float64) - theirs)
    if mode in ("constant", "wrap"):
        i, j = np.mgrid[: ours.shape[0], : ours.shape[1]]
        for axis in (0, 1):
            place, period = matrix[axis, 0] * i + matrix[axis, 1] * j + matrix[axis, 2], max(ours.shape[axis] - 1, 1)
            difference[np.abs(place / period - np.round(place / period)) * period < 1e-6] = 0
    worst[name] = max(worst[name], difference.max())


if __name__ == "__main__":
    sys.exit(main())
