"""What images come from: anything that can be listed, item by item, always in the same order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

UNREADABLE = " unreadable"  # in the stamp of what could not be read, and may be readable the next time
Content = bytes | np.ndarray  # an encoded file, or pixels: uint8, H x W x 1 (grey), 3 (RGB) or 4 (RGBA)


class RejectedError(Exception):
    """Why something in a source gives no image, in a few words for the user."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something in a source that should give an image; an animation may give several.

    Args:
        name: what the user knows it by: a path inside the source with "/", or the source's name and a number. Unique.
            Bytes that are not UTF-8 stand in it as surrogates (`os.fsdecode`).
        stamp: another text when the content may have changed, such as a file's length and date; see UNREADABLE.
        load: reads the content, from any thread. Raises RejectedError.
        class_name: the class it belongs to, None for no class.
        content_bytes: how much memory the content takes, about; frames of a video take it before they are loaded.
        block: items of one block belong together when a source is split by folder or by time. Blocks are contiguous
            in the order of the items only in videos; "" where there are none.
    """

    name: str
    stamp: str
    load: Callable[[], Content]
    class_name: str | None = None
    block: str = ""
    content_bytes: int = 0


class Source(Protocol):
    """Items in an order that depends on nothing but their names and contents."""

    @property
    def description(self) -> str:
        """What the user would call it; kept in the pack."""

    @property
    def total(self) -> int | None:
        """Number of items, None where it is not known beforehand."""

    @property
    def total_bytes(self) -> int:
        """Of the stored files."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """All classes in the order of their numbers, where the source fixes them; None: as they come."""

    @property
    def rejected(self) -> Sequence[tuple[str, str]]:
        """(name, reason) of what cannot even be listed: folders that cannot be read, members with bad names."""

    @property
    def consecutive(self) -> bool:
        """Whether items that follow one another are nearly equal, as frames are: a split keeps them together."""

    def stamp(self) -> str:
        """Another text (hexadecimal) when anything in the source may have changed; reads no image."""

    def items(self) -> Iterator[Item]:
        """In order, one at a time: memory does not grow with what an item holds. May be called again."""

    def blocks(self) -> Mapping[str, int]:
        """How many items each block has (about so many, in a video)."""

    def close(self) -> None:
        """Give back files that are open; items cannot be loaded any more."""
