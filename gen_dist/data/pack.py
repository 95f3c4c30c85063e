"""A pack: a folder of plain `.npy` files holding images as training reads them, and a `meta.json` that describes it.

    images-00000.npy …   uint8 (n, H, W, C), one part or several
    labels.npy           int64 (n,), where the images have classes
    checksums.npy        uint32 (n,), the CRC-32 of each image's bytes
    meta.json            see `Meta`

A pack is written in a temporary folder and renamed, so a reader sees all of it or nothing. On opening, nothing in it is
trusted: `meta.json` is validated, and each array must be exactly the one announced there before it is mapped.
"""

import hashlib
import math
import os
import secrets
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gen_dist.atomic import sync_folder
from gen_dist.data.npy import HEADER_BYTES, NpyStream, map_npy, sync
from gen_dist.errors import UserError

VERSION: Literal[1] = 1
PART_BYTES = 1 << 30  # a part that one can still copy, check and open anywhere
LABELS, CHECKSUMS, META = "labels.npy", "checksums.npy", "meta.json"

Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=65535)]
Channels = Annotated[int, Field(ge=1, le=4)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Part(_Strict):
    """One `images-*.npy` and how many images it holds."""

    file: Annotated[str, Field(pattern=r"^images-[0-9]{5,}\.npy$")]  # a plain name: nothing outside the folder
    images: Count


class Rejected(_Strict):
    """A file that gave no image, and why."""

    name: str
    reason: str


class Meta(_Strict):
    """The content of `meta.json`. `content_hash`: SHA-256 over the arrays' bytes, parts in order, then the labels."""

    format: Literal["gen-dist pack"]
    version: Literal[1]
    images: Count
    shape: tuple[Side, Side, Channels]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    source: str
    counts: dict[str, int]
    class_names: Annotated[tuple[str, ...], Field(min_length=1)] | None
    rejected: tuple[Rejected, ...]


class _Head(BaseModel, strict=True):
    """Enough of any version's `meta.json` to say which version it is."""

    format: Literal["gen-dist pack"]
    version: int


@dataclass(frozen=True, eq=False)
class Pack:
    """An opened pack. Images are memory-mapped and read-only; `len(pack)` is their number."""

    path: Path
    meta: Meta
    parts: list[np.memmap]  # uint8 (n, H, W, C) each
    labels: np.ndarray | None  # int64 (len,), indices into class_names
    checksums: np.ndarray  # uint32 (len,)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Pack":
        """Maps the pack in folder `path`. Raises UserError naming the pack and the file that is wrong in it."""
        path = Path(path)
        meta = _read_meta(path)
        parts = [_map(path, part.file, np.uint8, (part.images, *meta.shape)) for part in meta.parts]
        labels = None
        if meta.class_names is not None:
            labels = _map(path, LABELS, np.int64, (meta.images,))
            if labels.min() < 0 or labels.max() >= len(meta.class_names):
                raise _damaged(path, LABELS, f"labels outside 0 … {len(meta.class_names) - 1}, the classes of {META}")
        return cls(path, meta, parts, labels, _map(path, CHECKSUMS, np.uint32, (meta.images,)))

    def __len__(self) -> int:
        return self.meta.images

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        return self.meta.shape

    @property
    def content_hash(self) -> str:
        """SHA-256 in hex of the images and labels; two packs with the same hash train alike."""
        return self.meta.content_hash

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.meta.class_names

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """A copy of the images at `indices` (n,): uint8 (n, H, W, C). Raises IndexError outside 0 … len - 1."""
        wanted = np.asarray(indices, dtype=np.int64)
        if not ((wanted >= 0) & (wanted < len(self))).all():
            raise IndexError(f"images {wanted.min()} … {wanted.max()} of a pack of {len(self)}")
        images = np.empty((len(wanted), *self.shape), np.uint8)
        start = 0
        for part in self.parts:
            here = (wanted >= start) & (wanted < start + len(part))
            images[here] = part[wanted[here] - start]
            start += len(part)
        return images

    def verify(self) -> list[int]:
        """Reads everything; returns the indices of damaged images. Raises UserError for damaged checksums or labels."""
        digest, bad = hashlib.sha256(), []
        for index, image in enumerate(chain.from_iterable(map(np.asarray, self.parts))):
            digest.update(image)
            if zlib.crc32(image) != self.checksums[index]:
                bad.append(index)
        if self.labels is not None:
            digest.update(self.labels.data)
        intact = digest.hexdigest() == self.content_hash
        if bad and intact:
            raise _damaged(self.path, CHECKSUMS, f"{len(bad)} checksums are wrong, but the images are intact")
        if not bad and not intact:
            raise _damaged(self.path, META if self.labels is None else LABELS, "the content hash does not match")
        return bad


class PackWriter:
    """Writes a pack of images of `shape` (H, W, C) at `path`, image by image, in a folder beside it until `finish`.

        with PackWriter(path, (64, 64, 3)) as writer:
            writer.append(image, label)  # uint8 (H, W, C); the label is an index into class_names, or None
            writer.finish(source, counts, class_names, rejected)

    Memory does not grow with the number of images. Left without `finish`, it leaves nothing behind. Raises UserError
    where `path` exists or cannot be written, and where the disk is full.
    """

    def __init__(self, path: str | os.PathLike[str], shape: tuple[int, int, int], part_bytes: int = PART_BYTES) -> None:
        self.path, self.shape = Path(path), shape
        self.images_per_part = max(1, part_bytes // math.prod(shape))
        self._parts: list[Part] = []
        self._digest = hashlib.sha256()
        self._unlabelled = 0
        self._images: NpyStream | None = None
        if os.path.lexists(self.path):
            raise UserError(f"pack '{self.path}': exists already; give another name or remove it first")
        self._folder = self.path.parent / f".{self.path.name}.{secrets.token_hex(4)}.tmp"
        try:
            self._folder.mkdir(parents=True)
            self._checksums = NpyStream(self._folder / CHECKSUMS, np.uint32, ())
            self._labels = NpyStream(self._folder / LABELS, np.int64, ())
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for stream in filter(None, (self._images, self._checksums, self._labels)):
            stream.discard()
        shutil.rmtree(self._folder, ignore_errors=True)

    def append(self, image: np.ndarray, label: int | None = None) -> None:
        """Adds one uint8 image (H, W, C). Raises ValueError for another type or shape, UserError if it cannot write."""
        if image.dtype != np.uint8 or image.shape != self.shape:
            raise ValueError(f"image is {image.dtype} {image.shape}, the pack holds uint8 {self.shape}")
        data = image.tobytes()
        try:
            if self._images is None:
                self._images = NpyStream(self._folder / f"images-{len(self._parts):05d}.npy", np.uint8, self.shape)
            self._images.append(data)
            self._checksums.append(np.uint32(zlib.crc32(data)).tobytes())
            self._labels.append(np.int64(-1 if label is None else label).tobytes())
            if self._images.count == self.images_per_part:
                self._end_part()
        except OSError as error:
            raise self._unwritable(error) from error
        self._digest.update(data)
        self._unlabelled += label is None

    def finish(
        self,
        source: str,
        counts: Mapping[str, int],
        class_names: Sequence[str] | None,
        rejected: Sequence[tuple[str, str]],
    ) -> None:
        """Completes the pack and gives it its name. Labels are kept where `class_names` names them, else dropped.

        `rejected`: (name, reason) pairs. Raises UserError for a pack without images or when it cannot write, ValueError
        if there are class names and an image without a label.
        """
        if not (images := self._checksums.count):
            raise UserError(f"pack '{self.path}': no image to put in it")
        if class_names is not None and self._unlabelled:
            raise ValueError(f"class names are given, but {self._unlabelled} of {images} images have no label")
        try:
            self._end_part()
            self._checksums.close()
            self._labels.close()
            if class_names is None:
                self._labels.path.unlink()
            else:
                self._digest.update(np.memmap(self._labels.path, np.int64, "r", HEADER_BYTES).data)
            meta = Meta(
                format="gen-dist pack",
                version=VERSION,
                images=images,
                shape=self.shape,
                parts=tuple(self._parts),
                content_hash=self._digest.hexdigest(),
                source=printable(source),
                counts=dict(counts),
                class_names=None if class_names is None else tuple(map(printable, class_names)),
                rejected=tuple(Rejected(name=printable(name), reason=printable(why)) for name, why in rejected),
            )
            with open(self._folder / META, "wb") as file:
                file.write(meta.model_dump_json(indent=1).encode() + b"\n")
                sync(file)
            sync_folder(self._folder)
            self._folder.rename(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _end_part(self) -> None:
        if self._images is not None:
            self._images.close()
            self._parts.append(Part(file=self._images.path.name, images=self._images.count))
            self._images = None

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"pack '{self.path}': cannot write it: {error.strerror}; give a folder with room to write in")


def printable(name: str) -> str:
    """A file name as text that any file can hold: bytes that are not UTF-8 are shown as `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _damaged(path: Path, file: str, what: str) -> UserError:
    return UserError(f"pack '{path}': {file}: {' '.join(what.split())}; make the pack again with 'gen-dist prepare'")


def _read_meta(path: Path) -> Meta:
    if not os.path.isfile(path / META):  # a pipe, say, would be waited for
        what = f"no file {META} in it" if os.path.isdir(path) else "no such folder"
        raise UserError(f"pack '{path}': {what}; make a pack with 'gen-dist prepare'")
    try:
        text = (path / META).read_bytes()
        head = _Head.model_validate_json(text)
        if head.version != VERSION:
            raise UserError(
                f"pack '{path}': {META}: pack version {head.version}, this gen-dist reads version {VERSION}; "
                "make the pack again with 'gen-dist prepare', or use the gen-dist that made it"
            )
        meta = Meta.model_validate_json(text)
    except OSError as error:
        raise _damaged(path, META, f"cannot read it: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(path, META, f"{where}: {first['msg']}" if where else first["msg"]) from error
    if sum(part.images for part in meta.parts) != meta.images:
        raise _damaged(path, META, f"the parts' images do not add up to {meta.images}")
    return meta


def _map(path: Path, file: str, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap:
    try:
        return map_npy(path / file, dtype, shape)
    except OSError as error:
        raise _damaged(path, file, f"cannot read it: {error.strerror}") from error
    except ValueError as error:
        raise _damaged(path, file, str(error)) from error
