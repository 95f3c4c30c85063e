"""How an image file becomes an image of a pack: settings, checked and turned into numbers."""

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from gen_dist.errors import UserError
from gen_dist.kernels.limits import Limits

if TYPE_CHECKING:  # pydantic, which decoding subprocesses do without
    from gen_dist.config import DecodingSettings, PrepareSettings

SIZES = range(8, 1025)
_COLORS = {"white": (255, 255, 255), "black": (0, 0, 0), "gray": (128, 128, 128)}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the pixels made of a file. Plain values: it travels to subprocesses and other machines.

    Args:
        size: side of the square, in pixels.
        channels: 3, or 1 for the luma.
        mode, box: of `kernels.cropping.window`.
        filter: a name in `kernels.taps.FILTERS`.
        background: RGB behind transparent pixels and beside padded images.
        all_frames: every frame of an animation, not the first only.
        keep_jpeg: keep an encoded file of the image's own size beside the pixels.
    """

    size: int
    channels: int = 3
    mode: str = "center"
    box: tuple[int, int, int, int] | None = None
    filter: str = "lanczos"
    background: tuple[int, int, int] = (255, 255, 255)
    all_frames: bool = False
    keep_jpeg: bool = False
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> str:
        """What `recipe_from_json` reads."""
        return json.dumps(asdict(self))


def recipe_from_json(text: str) -> Recipe:
    """The recipe that `to_json` was asked of; fields that are left out have their defaults."""
    fields = json.loads(text)
    for name in ("box", "background"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    return Recipe(**fields | {"limits": Limits(**fields.get("limits", {}))})


def recipe_of(size: int, prepare: "PrepareSettings", decoding: "DecodingSettings") -> Recipe:
    """Raises UserError for values that the settings' types cannot rule out."""
    check_size(size, "--size")
    mode, _, numbers = prepare.crop.partition(":")
    box = tuple(int(number) for number in numbers.split(",")) if numbers else None
    if box is not None and 0 in box[2:]:
        raise UserError(f"data.prepare.crop '{prepare.crop}': an empty box; give box:X,Y,W,H with W and H 1 or more")
    if prepare.every != 1 and prepare.fps is not None:
        raise UserError(
            f"data.prepare.every {prepare.every}: not with data.prepare.fps {prepare.fps:g}; give one of them"
        )
    if prepare.keep == "jpeg" and mode in ("pad", "fit"):
        raise UserError(f"data.prepare.crop '{prepare.crop}': not with images kept as JPEG; use center, stretch or box")
    return Recipe(
        size=size,
        channels=1 if prepare.gray else 3,
        mode=mode,
        box=box,  # type: ignore[arg-type]  # four numbers, says the setting's pattern
        filter=prepare.filter,
        background=_color(prepare.background),
        all_frames=prepare.frames == "all",
        keep_jpeg=prepare.keep == "jpeg",
        limits=decoding.limits(),
    )


def check_size(size: int, name: str) -> None:
    """Raises UserError if images of `size` pixels a side cannot be prepared; `name` is what the user calls the size."""
    if size not in SIZES:
        raise UserError(f"{name} {size}: out of range; give {SIZES[0]} to {SIZES[-1]} pixels")


def _color(text: str) -> tuple[int, int, int]:
    if text in _COLORS:
        return _COLORS[text]
    red, green, blue = (int(number) for number in text.split(","))
    if max(red, green, blue) > 255:
        raise UserError(f"data.prepare.background '{text}': give a name or R,G,B with numbers from 0 to 255")
    return red, green, blue
