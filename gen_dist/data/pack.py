"""A pack: a folder of plain `.npy` files holding images as training reads them, and a `meta.json` that describes it.

    images-00000.npy …   uint8 (n, H, W, C), one part or several; of a pack that keeps JPEGs instead:
    jpegs-00000.npy …    uint8, the bytes of JPEG files, one behind the other
    offsets.npy          int64 (n + 1,), where each JPEG ends and the next begins, over all parts together
    sizes.npy            int32 (n, 2), width and height of each JPEG
    labels.npy           int64 (n,), where the images have classes
    checksums.npy        uint32 (n,), the CRC-32 of each image's bytes
    index.jsonl          what became of each item of the source, see `pack_index.Entry`
    meta.json            see `pack_meta.Meta`

A pack is written in another folder and renamed, so a reader sees all of it or nothing. On opening, nothing in it is
trusted: `meta.json` is validated, and each array must be exactly the one announced there before it is mapped.
"""

import hashlib
import itertools
import math
import mmap
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gen_dist.data.encoded import EncodedImages
from gen_dist.data.npy import map_npy
from gen_dist.data.pack_files import CHECKSUMS, LABELS, OFFSETS, SIZES
from gen_dist.data.pack_index import INDEX, Entry, read_index
from gen_dist.data.pack_meta import META, Meta, damaged, hash_of, read_meta

_BLOCK = 4 << 20  # bytes that are verified at once


@dataclass(frozen=True, eq=False)
class Pack:
    """An opened pack, memory-mapped and read-only; `len(pack)` is its number of images."""

    path: Path
    meta: Meta
    parts: list[np.memmap]  # uint8: (n, H, W, C) each, or the bytes of JPEGs
    labels: np.ndarray | None  # int64 (len,), indices into class_names
    checksums: np.ndarray  # uint32 (len,)
    offsets: np.ndarray | None  # int64 (len + 1,), of JPEGs
    sizes: np.ndarray | None  # int32 (len, 2), of JPEGs
    encoded: EncodedImages | None  # what decodes them

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Pack":
        """Maps the pack in folder `path`. Raises UserError naming the pack and the file that is wrong in it."""
        path = Path(path)
        meta = read_meta(path)
        offsets = sizes = labels = encoded = None
        if meta.kept == "jpeg":
            parts = [_map(path, part.file, np.uint8, (part.bytes,)) for part in meta.parts]
            offsets = _map(path, OFFSETS, np.int64, (meta.images + 1,))
            sizes = _map(path, SIZES, np.int32, (meta.images, 2))
            _check_encoded(path, meta, offsets, sizes)
            encoded = EncodedImages(path, meta, parts, offsets, sizes)
        else:
            parts = [_map(path, part.file, np.uint8, (part.images, *meta.shape)) for part in meta.parts]
        if meta.class_names is not None:
            labels = _map(path, LABELS, np.int64, (meta.images,))
            if labels.min() < 0 or labels.max() >= len(meta.class_names):
                raise damaged(path, LABELS, f"labels outside 0 … {len(meta.class_names) - 1}, the classes of {META}")
        checksums = _map(path, CHECKSUMS, np.uint32, (meta.images,))
        if hash_of(meta) != meta.meta_hash:
            raise damaged(path, META, "does not match its own hash; it was changed")
        return cls(path, meta, parts, labels, checksums, offsets, sizes, encoded)

    def __len__(self) -> int:
        return self.meta.images

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image as training gets it."""
        return self.meta.shape

    @property
    def content_hash(self) -> str:
        """SHA-256 in hex of the images and labels; two packs with the same hash train alike.

        Of JPEGs, what is made of them belongs to it: the same files, shown in another window, are other images.
        """
        if self.encoded is None:
            return self.meta.content_hash
        return hashlib.sha256(f"{self.meta.content_hash} {self.encoded.shown}".encode()).hexdigest()

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.meta.class_names

    def stored(self) -> Iterator[np.ndarray]:
        """Each image as it is stored, in order: uint8 (H, W, C), or the bytes of a JPEG."""
        if self.offsets is None:
            for part in self.parts:
                yield from np.asarray(part)
            return
        index, before = 0, 0
        for part, about in zip(self.parts, self.meta.parts, strict=True):
            for start, end in zip(
                self.offsets[index:], self.offsets[index + 1 : index + 1 + about.images], strict=False
            ):
                yield np.asarray(part[start - before : end - before])
            index, before = index + about.images, before + about.bytes

    def file(self, index: int) -> bytes:
        """The JPEG at `index`, of a pack that keeps them. Raises ValueError for another pack."""
        if self.offsets is None:
            raise ValueError(f"pack '{self.path}' keeps pixels, not files")
        start, end = self.offsets[index : index + 2]
        for part, about in zip(self.parts, self.meta.parts, strict=True):
            if start < about.bytes:
                return part[start:end].tobytes()
            start, end = start - about.bytes, end - about.bytes
        raise IndexError(f"image {index} of a pack of {len(self)}")

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """A copy of the images at `indices` (n,): uint8 (n, H, W, C); of JPEGs, what they were prepared to show.

        Raises IndexError outside 0 … len - 1, and RunError for a damaged JPEG.
        """
        wanted = np.asarray(indices, dtype=np.int64)
        if not ((wanted >= 0) & (wanted < len(self))).all():
            raise IndexError(f"images {wanted.min()} … {wanted.max()} of a pack of {len(self)}")
        images = np.empty((len(wanted), *self.shape), np.uint8)
        if self.encoded is not None:
            self.encoded.decode(images, wanted)
            return images
        start = 0
        for part in self.parts:
            here = (wanted >= start) & (wanted < start + len(part))
            images[here] = part[wanted[here] - start]
            start += len(part)
        return images

    def forget(self) -> None:
        """Give back the memory that reading has mapped; the operating system may keep it, for whoever reads next."""
        for part in self.parts:
            if isinstance(part.base, mmap.mmap):
                part.base.madvise(mmap.MADV_DONTNEED)

    def entries(self) -> Iterator[Entry]:
        """What became of each item of the source, in order. Raises UserError for a damaged index."""
        return read_index(self.path)

    def has_whole_index(self) -> bool:
        """Whether `entries` are those that the pack was written with. Raises UserError if they cannot be read."""
        try:
            with open(self.path / INDEX, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.meta.index_hash
        except OSError as error:
            raise damaged(self.path, INDEX, f"cannot read it: {error.strerror}") from error

    def verify(self, progress: Callable[[int, int], None] | None = None) -> list[int]:
        """Reads everything; returns the indices of damaged images. `progress(done, total)` gets numbers of images.

        Raises UserError where something else is damaged: checksums, labels, offsets, the index or `meta.json`.
        """
        digest, bad, index = hashlib.sha256(), [], 0
        with ThreadPoolExecutor(1) as beside:  # the hash takes longer than the checksums
            for block, edges in self._blocks():
                hashed = beside.submit(digest.update, block)
                for start, end in itertools.pairwise(edges):
                    if zlib.crc32(block[start:end]) != self.checksums[index]:
                        bad.append(index)
                    index += 1
                hashed.result()
                if progress is not None:
                    progress(index, len(self))
        others = [array for array in (self.offsets, self.sizes, self.labels) if array is not None]
        for array in others:
            digest.update(array.data)
        intact = digest.hexdigest() == self.meta.content_hash
        if bad and intact:
            raise damaged(self.path, CHECKSUMS, f"{len(bad)} checksums are wrong, but the images are intact")
        if not bad and not intact:
            files = [OFFSETS, SIZES] * (self.offsets is not None) + [LABELS] * (self.labels is not None)
            raise damaged(self.path, " or ".join(files) or META, "the content hash does not match")
        if not self.has_whole_index():
            raise damaged(self.path, INDEX, f"does not match its hash in {META}")
        return bad

    def _blocks(self) -> Iterator[tuple[memoryview, list[int]]]:
        """All bytes of images in order, some MB at a time: whole images, and the edges between them."""
        first = 0
        for part, about in zip(self.parts, self.meta.parts, strict=True):
            if self.offsets is None:
                edges = np.arange(about.images + 1) * math.prod(self.shape)
            else:
                edges = self.offsets[first : first + about.images + 1] - self.offsets[first]
            data, start = part.data.cast("B"), 0
            while start < about.images:
                stop = max(start + 1, int(np.searchsorted(edges, edges[start] + _BLOCK, "right")) - 1)
                yield data[edges[start] : edges[stop]], (edges[start : stop + 1] - edges[start]).tolist()
                start = stop
            first += about.images


def _check_encoded(path: Path, meta: Meta, offsets: np.ndarray, sizes: np.ndarray) -> None:
    """That JPEGs are where the offsets say, within their parts, and of a size."""
    ends = np.cumsum([part.images for part in meta.parts])
    bytes_before = np.cumsum([part.bytes for part in meta.parts])
    # Compared, not subtracted: differences of hostile offsets wrap around and look like lengths.
    if offsets[0] != 0 or (offsets[1:] <= offsets[:-1]).any() or (offsets[ends] != bytes_before).any():
        raise damaged(path, OFFSETS, f"the offsets do not fit the parts in {META}")
    if sizes.min() < 1 or sizes.max() > 65535:
        raise damaged(path, SIZES, "sizes outside 1 … 65535")


def _map(path: Path, file: str, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    try:
        return map_npy(path / file, dtype, shape)
    except OSError as error:
        raise damaged(path, file, f"cannot read it: {error.strerror}") from error
    except ValueError as error:
        raise damaged(path, file, str(error)) from error
