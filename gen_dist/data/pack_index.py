"""`index.jsonl` of a pack: a line for each item of the source, in order: what became of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gen_dist.data.pack_meta import damaged

INDEX = "index.jsonl"
_DEFAULTS: dict[str, int | str] = {
    "images": 1,
    "width": 0,
    "height": 0,
    "dropped": 0,
    "reason": "",
    "block": "",
}
_quoted = json.encoder.encode_basestring_ascii
_TYPES = {"name": str, "stamp": str, **{key: type(value) for key, value in _DEFAULTS.items()}}


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of an item.

    Args:
        name, stamp, block: the item's (`sources.source.Item`).
        images: how many images of the pack are its.
        dropped: how many of its images were left out, being duplicates.
        width, height: of the item's image in pixels, before anything was done to it; 0 where there is none.
        reason: why none of its images is in the pack; "" if one is.
    """

    name: str
    stamp: str
    images: int = 1
    width: int = 0
    height: int = 0
    dropped: int = 0
    reason: str = ""
    block: str = ""

    @property
    def is_rejected(self) -> bool:
        """Whether it gave no image; those that were left out are not rejected."""
        return bool(self.reason) and not self.dropped

    def line(self) -> bytes:
        """As JSON, without what is as usual; names that are not UTF-8 survive, as escaped surrogates."""
        text = f'{{"name":{_quoted(self.name)},"stamp":{_quoted(self.stamp)}'
        for key, usual in _DEFAULTS.items():
            if (value := getattr(self, key)) != usual:
                text += f',"{key}":{value if isinstance(value, int) else _quoted(value)}'
        return f"{text}}}\n".encode("ascii")


def read_index(pack: Path) -> Iterator[Entry]:
    """The entries of a pack, one at a time. Raises UserError for a line that is none."""
    try:
        with open(pack / INDEX, "rb") as file:
            for number, line in enumerate(file, start=1):
                yield _entry(pack, number, line)
    except OSError as error:
        raise damaged(pack, INDEX, f"cannot read it: {error.strerror}") from error


def _can_be(value: int | str) -> bool:
    """Whether a number is one of images or pixels: JSON has numbers that no float holds."""
    return isinstance(value, str) or 0 <= value < 1 << 63


def _entry(pack: Path, number: int, line: bytes) -> Entry:
    try:
        fields = json.loads(line)
        if all(type(value) is _TYPES[key] and _can_be(value) for key, value in fields.items()):
            return Entry(**fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise damaged(pack, INDEX, f"line {number} is not an entry")
