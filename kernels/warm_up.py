"""Every kernel compiled before it is needed, once on a node: the first process compiles, the others wait and load."""

import contextlib
import fcntl
import zlib
from collections.abc import Callable, Iterator

import numba
import numpy as np

from gen_dist.kernels import (
    affine,
    augment,
    bfloat16,
    cifar,
    digest,
    jpeg,
    mailbox,
    near,
    perceptual,
    permutation,
    philox,
    png,
    random_crops,
    resize,
    resize_batch,
    rmsprop,
    tree,
    ycc,
)
from gen_dist.kernels.code_cache import cache_folder
from gen_dist.kernels.limits import Limits

_POSITIONS = np.zeros(1, np.int64)


def warm_up(*parts: str) -> list[str]:
    """Compile the kernels of these parts (all of them by default) that this node has not compiled yet.

    A mark in `cache_folder()` says which parts are there, and a lock makes processes wait for the one that compiles.
    Where there is no such folder every process compiles for itself. Returns the parts that were not there. Raises
    ValueError for an unknown part.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"part '{part}': must be one of {', '.join(PARTS)}")
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return []
    missing = [part for part in parts or PARTS if not _is_marked(part)]
    if not missing:
        return []
    with _one_at_a_time():
        done = [part for part in missing if not _is_marked(part)]  # another process may have done it meanwhile
        for part in done:
            for compile_some in PARTS[part]:
                compile_some()
            _mark(part)
    return done


def _draw() -> None:
    numbers = np.empty((1, 4), np.float32)
    philox.fill_uniform(numbers, 0, 0, _POSITIONS)
    philox.fill_normal(numbers, 0, 0, _POSITIONS)
    philox.philox4x32(*(np.uint64(0) for _ in range(6)))
    permutation.permute(np.empty(1, np.int64), _POSITIONS, 1, 0, 0)
    region, numbers = np.array([[0.0, 0.0, 8.0, 8.0]]), np.zeros((1, random_crops.NUMBERS), np.float32)
    random_crops.draw_crops(np.empty((1, 4)), numbers, region, 0.5, 1.0)


def _sum() -> None:
    for dtype in (np.float32, np.float64):
        tree.sum_vectors(np.zeros(1, dtype), [np.zeros(1, dtype)], np.zeros((1, 2), np.int64))
    bfloat16.add(np.zeros(1, np.float32), np.zeros(1, np.uint16))
    row = np.zeros(mailbox.WIDTH, np.int64)
    mailbox.post(row, row[:0], 1)
    mailbox.has_come(row, 1, 1)


def _optimise() -> None:
    vector = np.zeros(1, np.float32)
    for velocity in (None, vector.copy()):
        rmsprop.step(vector, vector.copy(), vector.copy(), velocity, rate=0.0, decay=0.0, epsilon=1.0)


def _augment() -> None:
    zeros, ones, image = np.zeros(1), np.ones(1), np.zeros((1, 8, 8, 3), np.uint8)
    affine.matrices(zeros, zeros, zeros, zeros, ones, ones, 8, 8)
    for dtype in (np.float32, np.uint8):
        augment.augment(np.empty((1, 8, 8, 3), dtype), image, _POSITIONS, _POSITIONS)


def _resize() -> None:
    for filter in ("nearest", "lanczos"):
        resize.resize(np.empty((8, 8, 3), np.uint8), np.zeros((16, 16, 3), np.uint8), filter=filter)
    ycc.mix_grey(*(np.zeros(1, np.uint8) for _ in range(4)))
    batch, box = np.zeros((1, 8, 8, 3), np.uint8), np.array([[0.0, 0.0, 8.0, 8.0]])
    resize_batch.resize_batch(np.empty_like(batch), batch, _POSITIONS, _POSITIONS, box)


def _jpeg() -> None:
    grey = _grey_jpeg()
    jpeg.read_header(grey)
    jpeg.decode(grey)
    jpeg.read_headers(np.frombuffer(grey, np.uint8), np.array([0, len(grey)]))
    for dtype in (np.float32, np.uint8):
        jpeg.decode_resized(np.empty((8, 8, 3), dtype), grey)


def _grey_jpeg() -> bytes:
    """8 x 8 pixels, all grey: one bit says that the mean is 0 from grey, one that there is nothing else."""
    one_code = bytes([1] + [0] * 15) + b"\0"  # a Huffman table with one code of one bit, for the symbol 0
    segments = {
        0xDB: bytes(1) + bytes([1] * 64),
        0xC0: bytes([8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        0xC4: b"\0" + one_code + b"\x10" + one_code,
        0xDA: bytes([1, 1, 0, 0, 63, 0]),
    }
    parts = (bytes([0xFF, kind]) + (len(body) + 2).to_bytes(2, "big") + body for kind, body in segments.items())
    return b"\xff\xd8" + b"".join(parts) + b"\x3f\xff\xd9"


def _png() -> None:
    chunks = png.Png(1, 1, 0, [memoryview(zlib.compress(bytes(2)))], b"", None, False)
    png.decode_chunks(chunks, Limits())


def _cifar() -> None:
    cifar.read(bytes(3073), 10)


def _find_duplicates() -> None:
    hashes, thumbnails = np.empty(1, np.uint64), np.empty((1, perceptual.THUMBNAIL), np.uint8)
    perceptual.perceptual_hashes(hashes, thumbnails, np.zeros((1, 8, 8, 3), np.uint8))
    table, digests = np.full(2, near.NOTHING, np.int32), np.zeros((1, 16), np.uint8)
    near.find_equal(table, digests, digests[0])
    near.enter_equal(table, digests, 0, 1)
    heads, chains = (np.full((near.BANDS, n), near.NOTHING, np.int32) for n in (near.BUCKETS, 1))
    near.find_near(heads, chains.reshape(1, -1), hashes, thumbnails, hashes[0], thumbnails[0])
    near.enter_near(heads, chains.reshape(1, -1), 0, hashes[0])
    digest.digests(digests, np.zeros((1, 8), np.uint8))
    prints, matches, kinds = np.zeros((1, 48), np.uint8), np.empty(1, np.int32), np.empty(1, np.uint8)
    tables = np.zeros(2, np.int32), np.full(4, near.NOTHING, np.int32), np.zeros((2, 16), np.uint8)
    more = np.zeros(2, np.uint64), np.zeros((2, perceptual.THUMBNAIL), np.uint8), np.zeros((2, near.BANDS), np.int32)
    near.sift(matches, kinds, prints, *tables, *more, np.full_like(heads, near.NOTHING), 0, 0, near.NEAR)


PARTS: dict[str, tuple[Callable[[], None], ...]] = {
    "training": (_draw, _sum, _optimise, _augment),
    "decoding": (_resize, _jpeg, _png, _cifar),
    "duplicates": (_find_duplicates,),
}


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    folder = cache_folder()
    if folder is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a folder that cannot be written to: every process compiles
            lock = stack.enter_context(open(folder / "lock", "w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_marked(part: str) -> bool:
    folder = cache_folder()
    return folder is not None and (folder / f"{part}.warm").exists()


def _mark(part: str) -> None:
    folder = cache_folder()
    if folder is not None and any(folder.glob("*.nbi")):
        with contextlib.suppress(OSError):
            (folder / f"{part}.warm").touch()
