"""Tables in which equal and similar things are found among many, one by one as they come.

Similar: 64-bit hashes that differ in at most 6 bits, and thumbnails that agree. A hash is cut into four bands of 16
bits. Of 6 differing bits at most one falls into some band, so looking up each band, and each band with one bit
flipped, finds every such hash. Rows of one bucket form a chain, the newest first.
"""

from typing import Any

import numpy as np

from gen_dist.kernels.jit import kernel

NOTHING = -1
NEW, NEAR, EXACT = 0, 1, 2
BANDS, BUCKETS = 4, 1 << 16
MOST_BITS = 6
MOST_IN_BUCKET = 256  # rows looked at: work for an image stays bounded, whatever the images are
_FIELDS = 16  # of a thumbnail, in grey; behind them those of colour
_SHADE, _LEAST_SHADE, _SHADES = 6, 2, 10  # how far a field may be off; at least; what part of the contrast
_BRIGHTER, _COLOUR = 16, 8  # how far the whole image and the colour of a quarter may be off


@kernel(fastmath=False)
def find_equal(table: np.ndarray, digests: np.ndarray, digest: np.ndarray) -> int:
    """The row of `digest`, -1 for none.

    table: int32, longer than there are rows, -1 where free. digests: uint8, rows x 16. digest: uint8, 16.
    """
    place = _place(digest, len(table))
    while table[place] != NOTHING:
        row, same = table[place], True
        for k in range(len(digest)):
            same &= digests[row, k] == digest[k]
        if same:
            return row
        place = (place + 1) % len(table)
    return NOTHING


@kernel(fastmath=False)
def enter_equal(table: np.ndarray, digests: np.ndarray, start: int, stop: int) -> None:
    """Enter the rows [start, stop) of `digests` into `table`, which must have room."""
    for row in range(start, stop):
        place = _place(digests[row], len(table))
        while table[place] != NOTHING:
            place = (place + 1) % len(table)
        table[place] = row


@kernel(fastmath=False)
def find_near(
    heads: np.ndarray,
    chains: np.ndarray,
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    hash_: np.uint64,
    thumbnail: np.ndarray,
) -> np.int64:
    """The row most like an image: of the fewest differing bits, then the first; -1 for none.

    heads: int32, 4 x 65536, the newest row of each bucket. chains: int32, rows x 4, the row before it in its bucket.
    hashes: uint64, rows. thumbnails: uint8, rows x 24. hash_, thumbnail: of the image; see `perceptual`.
    """
    best, fewest = np.int64(NOTHING), np.int64(MOST_BITS + 1)
    for band in range(BANDS):
        key = (hash_ >> np.uint64(16 * band)) & np.uint64(BUCKETS - 1)
        for flip in range(17):
            bucket = np.int64(key) ^ ((1 << flip) & (BUCKETS - 1))  # the last time, nothing is flipped
            row, looked = heads[band, bucket], 0
            while row != NOTHING and looked < MOST_IN_BUCKET:
                bits = _ones(hashes[row] ^ hash_)
                if (bits < fewest or (bits == fewest and row < best)) and alike(thumbnails[row], thumbnail):
                    best, fewest = np.int64(row), bits
                row, looked = chains[row, band], looked + 1
    return best


@kernel(fastmath=False)
def enter_near(heads: np.ndarray, chains: np.ndarray, row: int, hash_: np.uint64) -> None:
    """Enter a row into the four buckets of its hash."""
    for band in range(BANDS):
        bucket = np.int64((hash_ >> np.uint64(16 * band)) & np.uint64(BUCKETS - 1))
        chains[row, band] = heads[band, bucket]
        heads[band, bucket] = row


@kernel(fastmath=False)
def sift(
    matches: np.ndarray,
    kinds: np.ndarray,
    fingerprints: np.ndarray,
    numbers: np.ndarray,
    table: np.ndarray,
    digests: np.ndarray,
    hashes: np.ndarray,
    thumbnails: np.ndarray,
    chains: np.ndarray,
    heads: np.ndarray,
    count: int,
    number: int,
    drop: int,
) -> int:
    """Look up n images one after the other, entering each that stays, as if each came alone; returns the new count.

    Args:
        matches: int32, n; written: the number of the image that each is like, -1 for none.
        kinds: uint8, n; written: NEW, NEAR or EXACT.
        fingerprints: uint8, n x 48: digest, hash (little-endian), thumbnail.
        numbers: int32, rows; of the images in the tables. The rest as above, with room for n more rows.
        count: rows in use.
        number: of the next image that stays.
        drop: images of this kind and above do not stay.
    """
    for k in range(len(fingerprints)):
        digest, thumbnail = fingerprints[k, :16], fingerprints[k, 24:]
        hash_ = _hash(fingerprints[k, 16:24])
        equal = find_equal(table, digests, digest)
        like = equal if equal != NOTHING else find_near(heads, chains, hashes, thumbnails, hash_, thumbnail)
        kinds[k], matches[k] = NEW, NOTHING
        if like != NOTHING:
            kinds[k], matches[k] = NEAR if equal == NOTHING else EXACT, numbers[like]
        if kinds[k] >= drop:
            continue
        if kinds[k] != EXACT:
            digests[count], thumbnails[count] = digest, thumbnail
            hashes[count], numbers[count] = hash_, number
            enter_equal(table, digests, count, count + 1)
            enter_near(heads, chains, count, hash_)
            count += 1
        number += 1
    return count


@kernel(fastmath=False)
def _hash(data: np.ndarray) -> Any:
    """uint64 of 8 bytes, little-endian."""
    number = np.uint64(0)
    for k in range(8):
        number |= np.uint64(data[k]) << np.uint64(8 * k)
    return number


@kernel(fastmath=False)
def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two thumbnails (uint8, 24) agree: the less there is to see, the less they may differ.

    All of an image may be brighter, by 16 of 255 and not by more than its contrast, so flat images must be of one
    colour. Beyond that a field may differ by a tenth of the contrast, but by 2 if that is less, by 6 if it is more.
    """
    brighter: Any = np.int64(0)
    low_a: Any = np.int64(255)
    high_a: Any = np.int64(0)
    low_b, high_b = low_a, high_a
    for k in range(_FIELDS):
        low_a, high_a = min(low_a, np.int64(a[k])), max(high_a, np.int64(a[k]))
        low_b, high_b = min(low_b, np.int64(b[k])), max(high_b, np.int64(b[k]))
        brighter += np.int64(a[k]) - np.int64(b[k])
    contrast = min(high_a - low_a, high_b - low_b)
    if abs(brighter) > _FIELDS * min(_BRIGHTER, contrast):
        return False
    shade = max(_LEAST_SHADE, min(_SHADE, contrast // _SHADES)) if contrast else 0
    for k in range(_FIELDS):
        if abs(_FIELDS * (np.int64(a[k]) - np.int64(b[k])) - brighter) > _FIELDS * shade:
            return False
    colour: Any = np.int64(0)
    for k in range(_FIELDS, len(a)):
        colour = max(colour, abs(np.int64(a[k]) - np.int64(b[k])))
    return colour <= min(_COLOUR, contrast)


@kernel(fastmath=False)
def _place(digest: np.ndarray, length: int) -> np.int64:
    """Where in a table of `length` to begin: the digest's first seven bytes, as a number, modulo the length."""
    number = np.int64(0)
    for k in range(7):
        number = 256 * number + np.int64(digest[k])
    return number % length


@kernel(fastmath=False, inline=True)
def _ones(bits: np.uint64) -> np.int64:
    """How many of 64 bits are set (Warren, "Hacker's Delight", 5-1)."""
    x = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    x += x >> np.uint64(8)  # the sums of bytes, where the book multiplies: that overflows without the compiler
    x += x >> np.uint64(16)
    x += x >> np.uint64(32)
    return np.int64(x & np.uint64(127))
