"""Pixels brought to a recipe's size, by Pillow: on the background, cropped, scaled, bordered, perhaps made grey."""

from PIL import Image

from gen_dist.kernels.cropping import window
from gen_dist.preparing.recipe import Recipe

# Pillow's luma, ITU-R BT.601, in 16 bits: grey stays what it is.
_LUMA = (19595, 38470, 7471)


def place(image: Image.Image, recipe: Recipe) -> Image.Image:
    """An RGB or grey image as `recipe` wants it: RGB or grey, of its size. Raises ValueError for a box outside it."""
    found = window(image.width, image.height, recipe.size, recipe.size, recipe.mode, recipe.box)
    left, top, width, height = found.placed
    small = image.resize((width, height), Image.Resampling[recipe.filter.upper()], box=found.box)
    if recipe.channels == 1:
        small = small.convert("L")
    elif small.mode != "RGB":
        small = small.convert("RGB")
    if small.size == (recipe.size, recipe.size):
        return small
    colour = recipe.background if recipe.channels == 3 else luma(recipe.background)
    whole = Image.new(small.mode, (recipe.size, recipe.size), colour)
    whole.paste(small, (left, top))
    return whole


def lay(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """An RGBA image on a colour: RGB."""
    below = Image.new("RGB", image.size, background)
    below.paste(image, mask=image.getchannel("A"))
    return below


def luma(colour: tuple[int, int, int]) -> int:
    """What Pillow makes of a colour in grey."""
    return (sum(weight * part for weight, part in zip(_LUMA, colour, strict=True)) + 32768) >> 16
