"""Images that are equal to an earlier one, or nearly: found one by one, in the order of the images."""

from array import array
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gen_dist.kernels.digest import DIGEST_BYTES, digests
from gen_dist.kernels.near import (
    BANDS,
    BUCKETS,
    EXACT,
    NEAR,
    NOTHING,
    enter_equal,
    enter_near,
    find_equal,
    find_near,
    sift,
)
from gen_dist.kernels.perceptual import THUMBNAIL, perceptual_hashes

Kind = Literal["exact", "near"]

_DIGEST, _HASH = DIGEST_BYTES, 8
_FIRST_ROOM, _GROWTH = 1024, 1.25  # rows; memory is copied when it is full, and at most a fifth of it is free
_DROPPED = {"near": NEAR, "exact": EXACT, "none": EXACT + 1}
_FREE = 1.4  # places of the table of digests for a row


@dataclass(frozen=True)
class Match:
    """That an image is equal ("exact") or similar ("near") to the image of this number."""

    kind: Kind
    number: int


def fingerprint_length(kind: Kind) -> int:
    """Bytes of a fingerprint: a digest, and for "near" a perceptual hash and a thumbnail."""
    return _DIGEST if kind == "exact" else _DIGEST + _HASH + THUMBNAIL


def fingerprints(images: np.ndarray, kind: Kind) -> np.ndarray:
    """What `Duplicates` needs to know of images (uint8, n x H x W x 1 or 3): uint8, n x `fingerprint_length(kind)`.

    The same on every machine and for any grouping of the images; may be called from any thread. Raises ValueError for
    other arrays.
    """
    images = np.ascontiguousarray(images)
    found = np.empty((len(images), fingerprint_length(kind)), np.uint8)
    equal = np.empty((len(images), _DIGEST), np.uint8)
    digests(equal, images.reshape(len(images), -1))
    found[:, :_DIGEST] = equal
    if kind == "near":
        hashes, thumbnails = np.empty(len(images), np.uint64), np.empty((len(images), THUMBNAIL), np.uint8)
        perceptual_hashes(hashes, thumbnails, images)
        found[:, _DIGEST : _DIGEST + _HASH] = hashes.astype("<u8").view(np.uint8).reshape(-1, _HASH)
        found[:, _DIGEST + _HASH :] = thumbnails
    return found


def is_dropped(kinds: np.ndarray, drop: str) -> np.ndarray:
    """Which images (bool, n) do not stay, of kinds as `Duplicates.sift` gives them."""
    return kinds >= _DROPPED[drop]


class Duplicates:
    """Fingerprints seen so far, and whether another is like one of them.

    "near": the perceptual hashes differ in at most 6 of 64 bits and the thumbnails agree (`kernels.near.alike`). In
    buckets of more than 256 images only the newest are looked at: of very many images that look much alike, some
    near duplicates may be missed, and the time an image takes is bounded. Exact ones are always found. Memory is
    about 35 bytes an image for "exact" and 95 for "near". Not for several threads at once.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._count = 0
        self._digests = np.empty((_FIRST_ROOM, _DIGEST), np.uint8)
        self._numbers = np.empty(_FIRST_ROOM, np.int32)
        self._table = np.full(int(_FIRST_ROOM * _FREE) + 1, NOTHING, np.int32)
        if kind == "near":
            self._hashes = np.empty(_FIRST_ROOM, np.uint64)
            self._thumbnails = np.empty((_FIRST_ROOM, THUMBNAIL), np.uint8)
            self._chains = np.empty((_FIRST_ROOM, BANDS), np.int32)
            self._heads = np.full((BANDS, BUCKETS), NOTHING, np.int32)

    def __len__(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        """Of memory held."""
        return sum(value.nbytes for value in vars(self).values() if isinstance(value, np.ndarray))

    def check(self, fingerprint: np.ndarray) -> Match | None:
        """What the image of this fingerprint (uint8, `fingerprint_length`) is like among those added.

        The most similar one, and of several the one added first.
        """
        fingerprint = self._checked(fingerprint)
        row = find_equal(self._table, self._digests, fingerprint[:_DIGEST])
        if row != NOTHING:
            return Match("exact", int(self._numbers[row]))
        if self.kind == "near":
            hash_, thumbnail = _parts(fingerprint)
            nearest = find_near(self._heads, self._chains, self._hashes, self._thumbnails, hash_, thumbnail)
            if nearest != NOTHING:
                return Match("near", int(self._numbers[nearest]))
        return None

    def add(self, fingerprint: np.ndarray, number: int) -> None:
        """Remember an image by a number of up to 31 bits. Of equal images the first is remembered."""
        fingerprint = self._checked(fingerprint)
        digest = fingerprint[:_DIGEST]
        if find_equal(self._table, self._digests, digest) != NOTHING:
            return
        if self._count == len(self._digests):
            self._grow()
        row, self._count = self._count, self._count + 1
        self._digests[row], self._numbers[row] = digest, number
        enter_equal(self._table, self._digests, row, row + 1)
        if self.kind == "near":
            self._hashes[row], self._thumbnails[row] = _parts(fingerprint)
            enter_near(self._heads, self._chains, row, self._hashes[row])

    def sift(self, fingerprints: np.ndarray, number: int, drop: str = "none") -> tuple[np.ndarray, np.ndarray]:
        """`check` for images one after the other, each of which is then added unless it is dropped; in one call.

        Args:
            fingerprints: uint8, n x `fingerprint_length("near")`.
            number: of the first that stays; those after it count up.
            drop: "none", "exact" or "near": what does not stay.

        Returns: kinds (uint8, n: NEW, NEAR or EXACT of `kernels.near`), and the numbers that each is like (int32, n;
        -1 for none).

        Raises ValueError if this does not look for near duplicates, or for fingerprints of another length.
        """
        if self.kind != "near":
            raise ValueError("sift: looks for near duplicates too; these are Duplicates of kind 'exact'")
        fingerprints = self._checked(fingerprints)
        while self._count + len(fingerprints) > len(self._digests):
            self._grow()
        matches, kinds = np.empty(len(fingerprints), np.int32), np.empty(len(fingerprints), np.uint8)
        tables = self._numbers, self._table, self._digests, self._hashes, self._thumbnails, self._chains, self._heads
        self._count = sift(matches, kinds, fingerprints, *tables, self._count, number, _DROPPED[drop])
        return kinds, matches

    def _grow(self) -> None:
        room = int(len(self._digests) * _GROWTH)
        for name in ("_digests", "_numbers", "_hashes", "_thumbnails", "_chains")[: 5 if self.kind == "near" else 2]:
            old = getattr(self, name)
            new = np.empty((room, *old.shape[1:]), old.dtype)
            new[: self._count] = old[: self._count]
            setattr(self, name, new)
        self._table = np.full(int(room * _FREE) + 1, NOTHING, np.int32)
        enter_equal(self._table, self._digests, 0, self._count)

    def _checked(self, fingerprint: np.ndarray) -> np.ndarray:
        """A copy: what came from another process is read-only, which kernels would be compiled for anew."""
        length = fingerprint_length(self.kind)
        if fingerprint.dtype != np.uint8 or fingerprint.shape[-1:] != (length,):
            raise ValueError(f"fingerprint: wants uint8, {length}; got {fingerprint.dtype}, {fingerprint.shape}")
        return fingerprint.copy()


class Names:
    """Names by number, in little more memory than their letters: for saying what an image is a duplicate of."""

    def __init__(self) -> None:
        self._letters, self._ends = bytearray(), array("Q")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, number: int) -> str:
        start = self._ends[number - 1] if number else 0
        return self._letters[start : self._ends[number]].decode("utf-8", "surrogatepass")

    def append(self, name: str) -> int:
        """Returns the number."""
        self._letters += name.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._letters))
        return len(self._ends) - 1


def _parts(fingerprint: np.ndarray) -> tuple[np.uint64, np.ndarray]:
    """Perceptual hash and thumbnail."""
    hash_ = int.from_bytes(fingerprint[_DIGEST : _DIGEST + _HASH].tobytes(), "little")
    return np.uint64(hash_), fingerprint[_DIGEST + _HASH :]
