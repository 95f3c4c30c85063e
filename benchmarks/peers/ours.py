"""Our kernels. Each way imports those that it needs."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.peers.inputs import BATCH, SIDE, Inputs, Run, batches
from benchmarks.peers.with_numpy import NUMBERS

RANGE = {"low": -1.0, "high": 1.0}
CHUNK = 16  # images that one of several threads takes at a time
KEY = (1, 2)
IMAGE = (SIDE, SIDE, 3)


def batched(inputs: Inputs, count: int, dtype: type, work: Callable[[slice, np.ndarray], None]) -> Run:
    """`work(part, out)` makes the images of `part`: batch by batch in one thread, or all of them over several."""
    if inputs.threads == 1:
        batch: np.ndarray = np.zeros((BATCH, *IMAGE), dtype)

        def run() -> Iterator[np.ndarray]:
            for part in batches(count):
                out = batch[: part.stop - part.start]
                work(part, out)
                yield out
    else:
        whole: np.ndarray = np.zeros((count, *IMAGE), dtype)
        pool = ThreadPoolExecutor(inputs.threads)
        parts = [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]

        def run() -> Iterator[np.ndarray]:
            list(pool.map(lambda part: work(part, whole[part]), parts))
            yield whole

    return run


def per_thread(make: Callable[[], Any]) -> Callable[[], Any]:
    """Gives each thread a scratch of its own, and the same one again."""
    local = threading.local()

    def own() -> Any:
        if not hasattr(local, "scratch"):
            local.scratch = make()
        return local.scratch

    return own


def gather(inputs: Inputs) -> Run:
    return _augment(inputs, inputs["order"], None)


def affine(inputs: Inputs) -> Run:
    return _augment(inputs, np.arange(len(inputs["images"])), inputs["matrices"])


def _augment(inputs: Inputs, order: np.ndarray, matrices: np.ndarray | None) -> Run:
    from gen_dist.kernels.augment import augment, make_scratch

    images, scratch, rows = inputs["images"], per_thread(lambda: make_scratch(*IMAGE)), np.arange(BATCH)
    flips = np.stack((inputs["flips"], np.zeros(len(order), bool)), axis=1)

    def work(part: slice, out: np.ndarray) -> None:
        maps = None if matrices is None else matrices[part]
        here, own = rows[: len(out)], scratch()
        augment(out, images, order[part], here, flips=flips[part], matrices=maps, scratch=own, **RANGE)  # type: ignore[arg-type]

    return batched(inputs, len(order), np.float32, work)


def jpeg(inputs: Inputs) -> Run:
    """What `decoder: auto` picks."""
    from gen_dist.preparing.decoding import AUTO

    return jpeg_numba(inputs) if "jpeg" in AUTO else jpeg_simplejpeg(inputs)


def jpeg_numba(inputs: Inputs) -> Run:
    from gen_dist.kernels.jpeg import decode_batch, make_scratch

    files, scratch = inputs.files(), per_thread(make_scratch)
    blob, offsets = np.frombuffer(b"".join(files), np.uint8), np.cumsum([0, *map(len, files)])

    def work(part: slice, out: np.ndarray) -> None:
        statuses = np.zeros(len(out), np.int32)
        decode_batch(out, blob, offsets[part.start : part.stop + 1], statuses, scratch=scratch(), **RANGE)  # type: ignore[arg-type]
        assert not statuses.any()

    return batched(inputs, len(files), np.float32, work)


def jpeg_simplejpeg(inputs: Inputs) -> Run:
    """simplejpeg's own scaling, our resize, our normalisation."""
    import simplejpeg

    from gen_dist.kernels.augment import augment
    from gen_dist.kernels.resize import resize

    files, rows = inputs.files(), np.arange(BATCH)
    pixels, scratch = per_thread(lambda: np.zeros((BATCH, *IMAGE), np.uint8)), per_thread(_resize_scratch)

    def work(part: slice, out: np.ndarray) -> None:
        small, own = pixels(), scratch()
        for i, data in enumerate(files[part]):
            image = simplejpeg.decode_jpeg(data, min_height=SIDE, min_width=SIDE)
            resize(small[i], image, filter="bilinear", scratch=own)
        here = rows[: len(out)]
        augment(out, small, here, here, **RANGE)  # type: ignore[arg-type]

    return batched(inputs, len(files), np.float32, work)


def resize(inputs: Inputs) -> Run:
    from gen_dist.kernels.resize import resize as resize_image

    images, scratch = inputs["images"], per_thread(_resize_scratch)

    def work(part: slice, out: np.ndarray) -> None:
        own = scratch()
        for image, target in zip(images[part], out, strict=True):
            resize_image(target, image, filter="bilinear", scratch=own)

    return batched(inputs, len(images), np.uint8, work)


def _resize_scratch() -> np.ndarray:
    """Enough for what is resized here."""
    from gen_dist.kernels.resize import scratch_length

    return np.zeros(scratch_length(np.zeros(IMAGE, np.uint8), np.zeros((256, 256, 3), np.uint8)), np.uint8)


def png(inputs: Inputs) -> Run:
    from gen_dist.kernels.png import decode

    files = inputs.files()

    def run() -> Iterator[np.ndarray]:
        for data in files:
            yield decode(data)[None]

    return run


def uniform(inputs: Inputs) -> Run:
    from gen_dist.kernels.philox import fill_uniform

    return _fill(fill_uniform)


def normal(inputs: Inputs) -> Run:
    from gen_dist.kernels.philox import fill_normal

    return _fill(fill_normal)


def _fill(fill: Callable[..., None]) -> Run:
    out, positions = np.empty((64, NUMBERS // 64), np.float32), np.arange(64)

    def run() -> Iterator[np.ndarray]:
        fill(out, *KEY, positions)
        yield out.reshape(-1)

    return run
