"""What Inception-v3 is made of: its layers in order, in blocks of branches, under the names that its weights have.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: "Rethinking the Inception architecture for computer vision" (2016), in the
variant that TensorFlow published on 2015-12-05, which FID and KID are defined by: averages leave out what lies beyond
the border, and the last block takes a maximum.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution, its batch norm and ReLU. `padded`: with zeros, to as many pixels as before."""

    name: str
    width: int  # channels that come out
    kernel: tuple[int, int] = (1, 1)  # height, width
    stride: int = 1
    padded: bool = True

    def halving(self) -> "Layer":
        return self._replace(stride=2, padded=False)


# Over 3 x 3 pixels: "mean" and "maximum" keep the size, "reduce" is a maximum that halves it.
# Several layers at once all see the same, and their outputs follow each other in the channels.
Step = Layer | str | tuple[Layer, ...]
Branch = tuple[Step, ...]

SQUARE, LARGE, LINE, COLUMN = (3, 3), (5, 5), (1, 7), (7, 1)

STEM: Branch = (
    Layer("Conv2d_1a_3x3", 32, SQUARE).halving(),
    Layer("Conv2d_2a_3x3", 32, SQUARE, padded=False),
    Layer("Conv2d_2b_3x3", 64, SQUARE),
    "reduce",
    Layer("Conv2d_3b_1x1", 80),
    Layer("Conv2d_4a_3x3", 192, SQUARE, padded=False),
    "reduce",
)


def _of_35(pooled: int) -> tuple[Branch, ...]:
    return (
        (Layer("branch1x1", 64),),
        (Layer("branch5x5_1", 48), Layer("branch5x5_2", 64, LARGE)),
        (Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, SQUARE), Layer("branch3x3dbl_3", 96, SQUARE)),
        ("mean", Layer("branch_pool", pooled)),
    )


def _to_17() -> tuple[Branch, ...]:
    deep = (Layer("branch3x3dbl_1", 64), Layer("branch3x3dbl_2", 96, SQUARE))
    return (
        (Layer("branch3x3", 384, SQUARE).halving(),),
        (*deep, Layer("branch3x3dbl_3", 96, SQUARE).halving()),
        ("reduce",),
    )


def _of_17(narrow: int) -> tuple[Branch, ...]:
    deep = (Layer("branch7x7dbl_1", narrow), Layer("branch7x7dbl_2", narrow, COLUMN))
    deeper = (Layer("branch7x7dbl_3", narrow, LINE), Layer("branch7x7dbl_4", narrow, COLUMN))
    return (
        (Layer("branch1x1", 192),),
        (Layer("branch7x7_1", narrow), Layer("branch7x7_2", narrow, LINE), Layer("branch7x7_3", 192, COLUMN)),
        (*deep, *deeper, Layer("branch7x7dbl_5", 192, LINE)),
        ("mean", Layer("branch_pool", 192)),
    )


def _to_8() -> tuple[Branch, ...]:
    deep = (Layer("branch7x7x3_1", 192), Layer("branch7x7x3_2", 192, LINE), Layer("branch7x7x3_3", 192, COLUMN))
    return (
        (Layer("branch3x3_1", 192), Layer("branch3x3_2", 320, SQUARE).halving()),
        (*deep, Layer("branch7x7x3_4", 192, SQUARE).halving()),
        ("reduce",),
    )


def _of_8(pool: str) -> tuple[Branch, ...]:
    def both(name: str) -> tuple[Layer, ...]:
        return Layer(f"{name}a", 384, (1, 3)), Layer(f"{name}b", 384, (3, 1))

    return (
        (Layer("branch1x1", 320),),
        (Layer("branch3x3_1", 384), both("branch3x3_2")),
        (Layer("branch3x3dbl_1", 448), Layer("branch3x3dbl_2", 384, SQUARE), both("branch3x3dbl_3")),
        (pool, Layer("branch_pool", 192)),
    )


def mixed_blocks() -> dict[str, tuple[Branch, ...]]:
    """After the stem, each on what the one before gives; of 35, 17 and 8 pixels a side."""
    return {
        "Mixed_5b": _of_35(32), "Mixed_5c": _of_35(64), "Mixed_5d": _of_35(64), "Mixed_6a": _to_17(),
        "Mixed_6b": _of_17(128), "Mixed_6c": _of_17(160), "Mixed_6d": _of_17(160), "Mixed_6e": _of_17(192),
        "Mixed_7a": _to_8(), "Mixed_7b": _of_8("mean"), "Mixed_7c": _of_8("maximum"),
    }  # fmt: skip
