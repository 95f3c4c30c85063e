"""What the search for near duplicates finds, and what it takes for one, in a pack or the pictures of gen-dist.

    python -m benchmarks.duplicates [PACK] [--pairs FILE.png]

Finds: of images that were changed a little, how many are known again. Takes for one: how many images are said to be
near an earlier one; `--pairs` draws such pairs, so that the wrong ones can be counted by eye.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.processes import cpu_model
from gen_dist.data.bundled import bundled_pack
from gen_dist.data.contact_sheet import spread
from gen_dist.data.pack import Pack
from gen_dist.kernels.warm_up import warm_up
from gen_dist.preparing.duplicates import Duplicates, fingerprints
from gen_dist.record.pictures import image_grid, save_png

CHANGED, SHOWN = 1000, 60  # images; pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", nargs="?", type=Path, help="default: the bundled emoji")
    parser.add_argument("--pairs", type=Path, help="PNG of pairs that are called near")
    options = parser.parse_args()
    pack = Pack.open(options.pack or bundled_pack("emoji"))
    images = pack.read(np.arange(len(pack)))
    warm_up("duplicates")
    print(f"{cpu_model()}; {len(pack)} images of {pack.shape}")
    pairs = search(images)
    recognise(images[spread(len(images), CHANGED)])
    if options.pairs and pairs:
        chosen = [pairs[i] for i in spread(len(pairs), SHOWN)]
        save_png(options.pairs, image_grid(images[np.array(chosen).reshape(-1)], columns=12))


def search(images: np.ndarray) -> list[tuple[int, int]]:
    """(image, earlier image) of all that are near one that was kept."""
    Duplicates("near").check(fingerprints(images[:1], "near")[0])  # loads the kernels
    started = time.perf_counter()
    prints = fingerprints(images, "near")
    made = time.perf_counter()
    duplicates, near, exact = Duplicates("near"), [], 0
    for number, one in enumerate(prints):
        match = duplicates.check(one)
        if match is None:
            duplicates.add(one, number)
        elif match.kind == "near":
            near.append((number, match.number))
        else:
            exact += 1
    ended = time.perf_counter()
    per_image = 1e6 / len(images)
    print(f"exact duplicates: {exact}, near duplicates: {len(near)} ({100 * len(near) / len(images):.2f} %)")
    print(f"fingerprint {(made - started) * per_image:.1f} us an image, search {(ended - made) * per_image:.1f} us")
    return near


def recognise(images: np.ndarray) -> None:
    """Each change by itself: are the changed images known again as what they were?"""
    duplicates = Duplicates("near")
    for number, one in enumerate(fingerprints(images, "near")):
        duplicates.add(one, number)
    originals = [duplicates.check(one) for one in fingerprints(images, "near")]
    for name, change in CHANGES.items():
        changed = np.stack([change(image) for image in images])
        found = [duplicates.check(one) for one in fingerprints(changed, "near")]
        same = sum(
            match is not None and original is not None and match.number == original.number
            for match, original in zip(found, originals, strict=True)
        )
        alike = sum(match is not None for match in found)
        print(f"{name:24} known again {100 * same / len(images):5.1f} %, taken for another {alike - same}")


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _array(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _reencoded(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        _picture(image).save(file, "JPEG", quality=quality)
        return _array(Image.open(file))

    return change


def _resized(image: np.ndarray) -> np.ndarray:
    picture = _picture(image)
    smaller = [max(1, round(0.8 * side)) for side in picture.size]
    return _array(picture.resize((smaller[0], smaller[1]), 3).resize(picture.size, 3))


def _cropped(image: np.ndarray) -> np.ndarray:
    picture = _picture(image)
    width, height = picture.size
    return _array(picture.resize(picture.size, 3, (0.01 * width, 0.01 * height, 0.99 * width, 0.99 * height)))


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "JPEG of quality 75": _reencoded(75),
    "JPEG of quality 50": _reencoded(50),
    "resized by 0.8 and back": _resized,
    "brighter by 5 %": lambda image: np.clip(image * 1.05 + 0.5, 0, 255).astype(np.uint8),
    "2 % cropped": _cropped,
}


if __name__ == "__main__":
    main()
