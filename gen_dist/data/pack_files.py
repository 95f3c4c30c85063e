"""The files of a pack while it is being written: appended to, brought to the disk, gone on with after a kill."""

import hashlib
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gen_dist.data.npy import HEADER_BYTES, NpyStream, sync
from gen_dist.data.pack_index import INDEX, Entry
from gen_dist.data.pack_meta import META, VERSION, Meta, Part, Rejected, Setting, hash_of, printable

PART_BYTES = 1 << 30  # a part that one can still copy, check and open anywhere
LABELS, CHECKSUMS, OFFSETS, SIZES = "labels.npy", "checksums.npy", "offsets.npy", "sizes.npy"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class About:
    """What a pack says of itself, beside its images. `rejected`: (name, reason); the rest as in `Meta`."""

    source: str
    counts: Mapping[str, int]
    class_names: Sequence[str] | None = None
    rejected: Sequence[tuple[str, str]] = ()
    source_stamp: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """How much of a pack is there: what `PackFiles.state` returns and is given to go on.

    Args:
        parts: (images, bytes) of each finished part.
        images, bytes: of the part under way.
        index: bytes of index.jsonl.
        unlabelled: images without a label.
    """

    parts: Sequence[Sequence[int]] = ()
    images: int = 0
    bytes: int = 0
    index: int = 0
    unlabelled: int = 0


class PackFiles:
    """Writes the files of a pack of `kept` "pixels" or "jpeg" into `folder`; images are of `shape` (H, W, C).

    `written`: go on after so much of a pack that is in the folder already; what follows is cut off. Memory does not
    grow with the number of images. Raises OSError, and ValueError where the folder holds less than `written` says.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int, int],
        *,
        kept: str = "pixels",
        part_bytes: int = PART_BYTES,
        written: Written | None = None,
    ) -> None:
        self.folder, self.shape, self.kept, self.part_bytes = folder, shape, kept, part_bytes
        self._parts = [Part(file=self._part_file(n), images=i, bytes=b) for n, (i, b) in enumerate(_parts_of(written))]
        self._unlabelled = written.unlabelled if written else 0
        self._part_images = written.images if written else 0
        self.images = self._part_images + sum(part.images for part in self._parts)
        with ExitStack() as stack:  # which closes what is open if anything is missing
            self._open(written, stack)
            stack.pop_all()

    def _open(self, written: Written | None, stack: ExitStack) -> None:
        count = self.images if written else None
        self._labels = NpyStream(self.folder / LABELS, np.int64, (), count)
        stack.callback(self._labels.discard)
        self._checksums = NpyStream(self.folder / CHECKSUMS, np.uint32, (), count)
        stack.callback(self._checksums.discard)
        self._offsets, self._sizes = self._encoded_streams(count, stack)
        self._index = open(self.folder / INDEX, "r+b" if written else "w+b")  # noqa: SIM115 - closed by complete or discard
        stack.callback(self._index.close)
        self._index.truncate(written.index if written else 0)
        self._index.seek(0, os.SEEK_END)
        self._part: NpyStream | None = None
        if written and written.images:
            self._part = self._open_part(written.bytes if self._is_jpeg else written.images)
            stack.callback(self._part.discard)
        self._digest = hashlib.sha256()
        if written:
            self._read_again()

    @property
    def _is_jpeg(self) -> bool:
        return self.kept == "jpeg"

    def append(self, image: np.ndarray | bytes, label: int | None = None, size: tuple[int, int] = (0, 0)) -> None:
        """Adds one image, as `extend` does."""
        self.extend([image], [label], [size])

    def extend(
        self,
        images: Sequence[np.ndarray] | Sequence[bytes] | Sequence[np.ndarray | bytes],
        labels: Sequence[int | None],
        sizes: Sequence[tuple[int, int]],
    ) -> None:
        """Adds images: uint8 (H, W, C); or for kept "jpeg" the bytes of files and their `sizes`, width and height.

        `labels`: indices into the class names. Raises ValueError for other types, shapes or numbers of them.
        """
        stored = [self._checked(image) for image in images]
        if not len(stored) == len(labels) == len(sizes):
            raise ValueError(f"{len(stored)} images, {len(labels)} labels, {len(sizes)} sizes")
        self._checksums.append(np.array([*map(zlib.crc32, stored)], "<u4").tobytes(), len(stored))
        self._labels.append(np.array([-1 if one is None else one for one in labels], "<i8").tobytes(), len(stored))
        if self._offsets is not None and self._sizes is not None:
            ends = self._total_bytes() + np.cumsum([*map(len, stored)], dtype=np.int64)
            self._offsets.append(ends.astype("<i8").tobytes(), len(stored))
            self._sizes.append(np.array(sizes, "<i4").tobytes(), len(stored))
        self._unlabelled += sum(one is None for one in labels)
        while stored:
            count = self._fitting(stored)
            self._write(stored[:count])
            stored = stored[count:]

    def note(self, entry: Entry) -> None:
        """What became of an item, in the order of the items."""
        self._index.write(entry.line())

    def state(self) -> Written:
        """Brings everything to the disk and says how much that is."""
        for stream in filter(None, (self._part, self._labels, self._checksums, self._offsets, self._sizes)):
            stream.sync()
        sync(self._index)
        parts = [(part.images, part.bytes) for part in self._parts]
        length = 0 if self._part is None else self._part.count
        return Written(parts, self._part_images, length if self._is_jpeg else 0, self._index.tell(), self._unlabelled)

    def complete(self, about: About) -> Meta:
        """Everything a reader needs, on the disk. Labels are kept where `about` names the classes.

        Raises ValueError for no images, and for class names where an image has no label.
        """
        if not self.images:
            raise ValueError("a pack of no images")
        if about.class_names is not None and self._unlabelled:
            raise ValueError(f"class names are given, but {self._unlabelled} of {self.images} images have no label")
        if self._part is not None:
            self._end_part()
        for stream in filter(None, (self._labels, self._checksums, self._offsets, self._sizes)):
            stream.close()
        sync(self._index)
        self._index.close()
        meta = self._meta(about)
        with open(self.folder / META, "wb") as file:
            file.write(meta.model_dump_json(indent=1).encode() + b"\n")
            sync(file)
        return meta

    def discard(self) -> None:
        """Closes the files, whatever state they are in."""
        for stream in filter(None, (self._part, self._labels, self._checksums, self._offsets, self._sizes)):
            stream.discard()
        self._index.close()

    def _meta(self, about: About) -> Meta:
        names = [file for file in (OFFSETS, SIZES) if self._is_jpeg]
        if about.class_names is None:
            (self.folder / LABELS).unlink()
        else:
            names.append(LABELS)
        digest = self._digest.copy()
        for name in names:
            _update(digest, self.folder / name, HEADER_BYTES)
        index = hashlib.sha256()
        _update(index, self.folder / INDEX, 0)
        meta = Meta(
            format="gen-dist pack",
            version=VERSION,
            images=self.images,
            kept="jpeg" if self._is_jpeg else "pixels",
            shape=self.shape,
            parts=tuple(self._parts),
            content_hash=digest.hexdigest(),
            index_hash=index.hexdigest(),
            meta_hash="0" * 64,
            source=printable(about.source),
            source_stamp=about.source_stamp,
            settings=dict(about.settings),
            counts=dict(about.counts),
            class_names=None if about.class_names is None else tuple(map(printable, about.class_names)),
            rejected=tuple(Rejected(name=printable(name), reason=printable(why)) for name, why in about.rejected),
        )
        return meta.model_copy(update={"meta_hash": hash_of(meta)})

    def _checked(self, image: np.ndarray | bytes) -> bytes | memoryview:
        if self._is_jpeg:
            if not isinstance(image, bytes) or not image:
                raise ValueError("the pack keeps JPEGs: wants the bytes of a file")
            return image
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != self.shape:
            raise ValueError(f"image is {_describe(image)}, the pack holds uint8 {self.shape}")
        return np.ascontiguousarray(image).data.cast("B")

    def _fitting(self, stored: Sequence[bytes | memoryview]) -> int:
        """How many of these, at least one, still go into the part under way.

        Of pixels a part takes as many images as fit (at least one); of JPEGs, those that begin within it.
        """
        if self._is_jpeg:
            begin = np.cumsum([0, *map(len, stored[:-1])]) + (self._part.count if self._part else 0)
            return int(np.searchsorted(begin, self.part_bytes, "left"))
        return min(len(stored), self._images_per_part - self._part_images)

    def _write(self, stored: Sequence[bytes | memoryview]) -> None:
        if self._part is None:
            self._part = self._open_part(None)
        data = b"".join(stored)
        self._part.append(data, len(data) if self._is_jpeg else len(stored))
        self._digest.update(data)
        self.images += len(stored)
        self._part_images += len(stored)
        if self._part.count >= (self.part_bytes if self._is_jpeg else self._images_per_part):
            self._end_part()

    @property
    def _images_per_part(self) -> int:
        height, width, channels = self.shape
        return max(1, self.part_bytes // (height * width * channels))

    def _part_file(self, number: int) -> str:
        return f"{'jpegs' if self._is_jpeg else 'images'}-{number:05d}.npy"

    def _open_part(self, kept: int | None) -> NpyStream:
        path = self.folder / self._part_file(len(self._parts))
        return NpyStream(path, np.uint8, () if self._is_jpeg else self.shape, kept)

    def _end_part(self) -> None:
        assert self._part is not None
        self._part.close()
        height, width, channels = self.shape
        length = self._part.count if self._is_jpeg else self._part.count * height * width * channels
        self._parts.append(Part(file=self._part.path.name, images=self._part_images, bytes=length))
        self._part, self._part_images = None, 0

    def _encoded_streams(self, count: int | None, stack: ExitStack) -> tuple[NpyStream | None, NpyStream | None]:
        if not self._is_jpeg:
            return None, None
        offsets = NpyStream(self.folder / OFFSETS, np.int64, (), None if count is None else count + 1)
        stack.callback(offsets.discard)
        if count is None:
            offsets.append(np.int64(0).tobytes())
        sizes = NpyStream(self.folder / SIZES, np.int32, (2,), count)
        stack.callback(sizes.discard)
        return offsets, sizes

    def _total_bytes(self) -> int:
        return (self._part.count if self._part else 0) + sum(part.bytes for part in self._parts)

    def _read_again(self) -> None:
        """The hash of what is there: its state cannot be kept anywhere."""
        for part in self._parts:
            _update(self._digest, self.folder / part.file, HEADER_BYTES)
        if self._part is not None:
            _update(self._digest, self._part.path, HEADER_BYTES)


def _parts_of(written: Written | None) -> Sequence[Sequence[int]]:
    return written.parts if written else ()


def _describe(image: object) -> str:
    return f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__


def _update(digest: "hashlib._Hash", path: Path, start: int) -> None:
    with open(path, "rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK):
            digest.update(block)
