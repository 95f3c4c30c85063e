"""Lists of layers as text, such as [64k5max, 128k5validmax, fc1024]: read, checked, followed from side to side. Pure.

`64k5` is a convolution to 64 channels with kernels of 5 x 5 that keeps the side. After it may come, in this order:
`s2`, a stride, or `t2`, transposed with stride 2, or `up`, nearest neighbour to twice the side before the convolution;
`valid`, no padding; `max` or `avg`, pooling of 2 x 2 after the activation; `bn`, batch norm. `outk5` has as many
channels as the image. `fc1024` is a linear layer. `map128` is one to 128 channels, of the side which the doublings that
follow bring to the image's; `map128bn` has batch norm per channel, `map128fbn` per channel and pixel; with `linear` at
its end it has no activation.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gen_dist.models.sides import pyramid

MOST = {"channels": 8192, "features": 65_536, "kernel": 31, "stride": 4}
MOST_MAPPED = 2**22  # numbers that a map may make
SIZES = range(8, 1025)  # what data.size may be


@dataclass(frozen=True)
class Convolution:
    """`channels` None: as many as the image has."""

    token: str
    channels: int | None
    kernel: int
    stride: int = 1
    up: Literal["transpose", "resize"] | None = None
    valid: bool = False
    pool: Literal["max", "avg"] | None = None
    norm: bool = False


@dataclass(frozen=True)
class Linear:
    token: str
    features: int
    norm: bool = False


@dataclass(frozen=True)
class Map:
    """A linear layer whose output is an image of `channels`; batch norm per channel, or per feature.

    `linear`: without activation.
    """

    token: str
    channels: int
    norm: Literal["channel", "feature"] | None = None
    linear: bool = False


Layer = Convolution | Linear | Map


@dataclass(frozen=True)
class Grammar:
    """What one network's list may hold.

    Attributes:
        marks: of a convolution's marks, those that have a meaning here.
        order: the kinds of layers, in the order in which they must come.
    """

    network: str
    marks: frozenset[str]
    order: tuple[type, ...]
    text: str


ENCODER = Grammar(
    "an encoder that is mirrored",
    frozenset({"s"}),
    (Convolution, Linear),
    "CHANNELSkKERNEL[sSTRIDE][bn], then fcFEATURES[bn], such as [32k4s2bn, 32k3, fc512]",
)
DISCRIMINATOR = Grammar(
    "a discriminator",
    frozenset({"s", "valid", "max", "avg"}),
    (Convolution, Linear),
    "CHANNELSkKERNEL[sSTRIDE][valid][max|avg][bn], then fcFEATURES[bn], such as [64k5max, 128k5validmax, fc1024]",
)
GENERATOR = Grammar(
    "a generator",
    frozenset({"t2", "up", "out"}),
    (Linear, Map, Convolution),
    "fcFEATURES[bn], then mapCHANNELS[bn|fbn][linear] and CHANNELSkKERNEL[t2|up][bn], with out for CHANNELS in the "
    "last, such as [fc1024, map128bn, 64k5up, outk5up]",
)

_CONVOLUTION = re.compile(
    r"(?P<channels>out|\d+)k(?P<kernel>\d+)(?:s(?P<stride>\d+)|(?P<up>t2|up))?(?P<valid>valid)?(?P<pool>max|avg)?(?P<norm>bn)?",
    re.ASCII,
)
_LINEAR = re.compile(r"fc(?P<features>\d+)(?P<norm>bn)?", re.ASCII)
_MAP = re.compile(r"map(?P<channels>\d+)(?P<norm>fbn|bn)?(?P<linear>linear)?", re.ASCII)


def parse_layers(key: str, tokens: Sequence[str], grammar: Grammar) -> tuple[Layer, ...]:
    """The layers that `tokens` name.

    Raises:
        ValueError: one line that names the key, the token, the grammar and an example.
    """
    if not tokens:
        raise ValueError(f"{key} []: needs one layer at least; a list is {grammar.text}")
    layers = tuple(parse_layer(key, token, grammar) for token in tokens)
    for i, layer in enumerate(layers):
        reason = misplaced(layer, layers[:i], layers[i + 1 :], grammar)
        if reason:
            raise fault(key, layer.token, reason, grammar)
    return layers


def parse_layer(key: str, token: str, grammar: Grammar) -> Layer:
    for pattern, make in ((_CONVOLUTION, convolution), (_LINEAR, linear), (_MAP, to_map)):
        match = pattern.fullmatch(token)
        if match:
            parts = {name: text for name, text in match.groupdict().items() if text is not None}
            reason = out_of_range(parts)
            if reason:
                raise fault(key, token, reason, grammar)
            return make(token, parts)
    raise fault(key, token, "is no layer", grammar)


def convolution(token: str, parts: dict[str, str]) -> Layer:
    channels, up, pool = parts["channels"], parts.get("up"), parts.get("pool")
    return Convolution(
        token,
        None if channels == "out" else int(channels),
        int(parts["kernel"]),
        int(parts.get("stride", 1)),
        None if up is None else "transpose" if up == "t2" else "resize",
        "valid" in parts,
        None if pool is None else "max" if pool == "max" else "avg",
        "norm" in parts,
    )


def linear(token: str, parts: dict[str, str]) -> Layer:
    return Linear(token, int(parts["features"]), "norm" in parts)


def to_map(token: str, parts: dict[str, str]) -> Layer:
    norm = parts.get("norm")
    place: Literal["channel", "feature"] | None = None if norm is None else "feature" if norm == "fbn" else "channel"
    return Map(token, int(parts["channels"]), place, "linear" in parts)


def out_of_range(parts: dict[str, str]) -> str:
    """Why a number is refused; empty if none is."""
    for name, most in MOST.items():
        text = parts.get(name, "out")
        if text != "out" and not (len(text) < 9 and 1 <= int(text) <= most):
            return f"{name} must be from 1 to {most}"
    return ""


def misplaced(layer: Layer, before: Sequence[Layer], after: Sequence[Layer], grammar: Grammar) -> str:
    """Why the layer cannot stand where it stands; empty if it can."""
    if type(layer) not in grammar.order:
        return f"{grammar.network} has no such layer"
    if isinstance(layer, Convolution):
        wrong = sorted(marks(layer) - grammar.marks)
        if wrong:
            return f"{grammar.network} has no layer with '{wrong[0]}'"
        if Map in grammar.order and not any(isinstance(earlier, Map) for earlier in before):
            return "a convolution needs a map before it"
        if layer.channels is None and after:
            return "only the last layer may have 'out'"
        if "out" in grammar.marks and layer.channels is not None and not after:
            return "the last layer must make as many channels as the image has, with 'out' for their number"
    if isinstance(layer, Map):
        if any(isinstance(earlier, Map) for earlier in before):
            return "there is a map before it"
        if not after:
            return "a map needs a convolution after it"
    place = grammar.order.index(type(layer))
    late = next((earlier for earlier in before if grammar.order.index(type(earlier)) > place), None)
    return f"must come before '{late.token}'" if late else ""


def marks(layer: Convolution) -> set[str]:
    """What a convolution has beside channels, kernel and batch norm, as it is written; `s` for any stride."""
    return {
        name
        for name, has in (
            ("s", layer.stride > 1),
            ("t2", layer.up == "transpose"),
            ("up", layer.up == "resize"),
            ("valid", layer.valid),
            ("max", layer.pool == "max"),
            ("avg", layer.pool == "avg"),
            ("out", layer.channels is None),
        )
        if has
    }


def fault(key: str, token: str, reason: str, grammar: Grammar) -> ValueError:
    return ValueError(f"{key} {token!r}: {reason}; a list is {grammar.text}")


def doubling_layers(width: int, size: int) -> tuple[Layer, ...]:
    """[32k4s2bn, 64k4s2bn, ...] for a width of 32, until 4 to 7 pixels are left."""
    widths = [width * 2**level for level in range(len(pyramid(size)) - 1)]
    return tuple(Convolution(f"{w}k4s2bn", w, 4, 2, norm=True) for w in widths)


def side_after(layer: Convolution, side: int) -> int:
    """The side that a layer of an encoder or discriminator leaves of `side`; 0 if it cannot be applied to it.

    A stride leaves side / stride, rounded up; without padding there is a pixel for each place that the kernel fits in;
    pooling rounds down.
    """
    if layer.stride > 1 and side == 1:
        return 0
    if layer.valid:
        side = (side - layer.kernel) // layer.stride + 1 if side >= layer.kernel else 0
    else:
        side = -(-side // layer.stride)
    return side // 2 if layer.pool else side


def sides_down(layers: Sequence[Layer], size: int) -> list[int]:
    """The image's side and that after each convolution, up to the first that leaves nothing (0)."""
    sides = [size]
    for layer in layers:
        if isinstance(layer, Convolution) and sides[-1]:
            sides.append(side_after(layer, sides[-1]))
    return sides


def why_not_down(key: str, layers: Sequence[Layer], size: int) -> str:
    """Why an encoder's or discriminator's layers cannot be applied to images of `size`; empty if they can."""
    sides = sides_down(layers, size)
    if sides[-1]:
        return ""
    culprit = [layer for layer in layers if isinstance(layer, Convolution)][len(sides) - 2]
    return (
        f"{key} '{culprit.token}': cannot be applied to the {sides[-2]} x {sides[-2]} pixels that the layers before it "
        f"leave of data.size {size}"
    )


def doublings(layers: Sequence[Layer]) -> int:
    return sum(isinstance(layer, Convolution) and layer.up is not None for layer in layers)


def why_not_up(key: str, layers: Sequence[Layer], size: int) -> str:
    """Why a generator's layers cannot reach `size` from a whole number of pixels; empty if they can."""
    times = doublings(layers)
    if size % 2**times:
        return f"data.size {size}: {key} doubles the side {times} times, so it must be divisible by {2**times}"
    side = size // 2**times
    for layer in layers:
        if isinstance(layer, Map) and layer.channels * side**2 > MOST_MAPPED:
            return (
                f"{key} '{layer.token}': makes {layer.channels} x {side} x {side} numbers for data.size {size}, more "
                f"than {MOST_MAPPED}"
            )
    return ""


def check_size(size: int, why_not: Callable[[int], str]) -> None:
    """Refuse a size for which `why_not` gives a reason.

    Raises:
        ValueError: one line with the nearest sizes for which there is none.
    """
    reason = why_not(size)
    if reason:
        below = next((other for other in reversed(SIZES) if other < size and not why_not(other)), None)
        above = next((other for other in SIZES if other > size and not why_not(other)), None)
        found = [f"data.size={other}" for other in (below, above) if other is not None]
        raise ValueError(f"{reason}; use {' or '.join(found) or 'other layers'}")
