"""Packs read image by image for writing other packs, with nothing damaged passed on."""

import zlib
from collections.abc import Iterator

from gen_dist.data.pack import Pack
from gen_dist.data.pack_index import INDEX, Entry
from gen_dist.data.pack_meta import damaged
from gen_dist.errors import UserError


def checked_images(pack: Pack) -> Iterator[bytes]:
    """Each image's bytes as they are stored, in order. Raises UserError at one that does not match its checksum."""
    for index, stored in enumerate(pack.stored()):
        image = stored.tobytes()
        if zlib.crc32(image) != pack.checksums[index]:
            raise UserError(
                f"pack '{pack.path}': image {index} is damaged; see 'gen-dist verify {pack.path}', and make it again"
            )
        yield image


def entries_with_images(pack: Pack) -> Iterator[tuple[Entry, range]]:
    """Each entry of the index with the indices of its images; without entries each image counts as an item.

    Raises UserError, at the end or before, where they are not all the images of the pack.
    """
    first = 0
    for entry in _entries(pack):
        after = first + entry.images
        if entry.images < 0 or after > len(pack):
            break
        yield entry, range(first, after)
        first = after
    else:
        if first == len(pack):
            return
    raise damaged(pack.path, INDEX, f"its entries do not have the {len(pack)} images of the pack")


def _entries(pack: Pack) -> Iterator[Entry]:
    entries = pack.entries()
    first = next(entries, None)
    if first is None:  # whoever wrote the pack noted nothing
        yield from (Entry(f"image {index}", "") for index in range(len(pack)))
        return
    yield first
    yield from entries


def size_of(pack: Pack, index: int) -> tuple[int, int]:
    """Width and height that `PackFiles.append` wants for an image; (0, 0) for pixels."""
    return (0, 0) if pack.sizes is None else (int(pack.sizes[index, 0]), int(pack.sizes[index, 1]))


def label_of(pack: Pack, index: int) -> int | None:
    return None if pack.labels is None else int(pack.labels[index])
