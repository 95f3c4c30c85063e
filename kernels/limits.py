"""How large a foreign image may claim to be, checked from its header before anything is allocated; and its refusal."""

from dataclasses import dataclass


class DecodeError(ValueError):
    """The bytes are no whole image, or claim one over the limits: why, in a few words for the user."""


class UnsupportedError(ValueError):
    """Perhaps a good image, but of a kind that this decoder does not read: which, in a few words."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds, each inclusive.

    Args:
        pixels: width × height.
        side: width, and height.
        file_bytes: the encoded file.
        scans: passes over the image that a progressive JPEG asks for; each costs the time of a whole image.
        inflated_bytes: what a PNG's compressed data may become.
    """

    pixels: int = 100_000_000
    side: int = 65_500
    file_bytes: int = 400 << 20
    scans: int = 100
    inflated_bytes: int = 1 << 30

    def check_size(self, width: int, height: int) -> None:
        """Raises DecodeError for an image of no pixels, or of too many."""
        if width < 1 or height < 1:
            raise DecodeError(f"{width}×{height} pixels: nothing to decode")
        if max(width, height) > self.side:
            raise DecodeError(f"{width}×{height} pixels: a side of more than {self.side}")
        if width * height > self.pixels:
            raise DecodeError(f"{width}×{height} pixels: more than {self.pixels / 1e6:g} million")

    def check_bytes(self, length: int) -> None:
        """Raises DecodeError for a file that is too long."""
        if length > self.file_bytes:
            raise DecodeError(f"{length} bytes: more than {self.file_bytes}")
