"""A few images as a model wants them: named one by one, or the first ones of a folder, a pack or any other source."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from gen_dist.config import DataSettings
from gen_dist.data.bundled import BUNDLED, bundled_pack
from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import is_pack
from gen_dist.errors import UserError
from gen_dist.preparing.decoding import Decoder
from gen_dist.preparing.outcome import Decoded
from gen_dist.preparing.recipe import Recipe, recipe_of
from gen_dist.sources.folder import read_image_file
from gen_dist.sources.kinds import probe
from gen_dist.sources.opening import Opening, is_known_name, open_source
from gen_dist.sources.source import Content, RejectedError

AT_ONCE = 16  # files that are decoded together


@dataclass(frozen=True)
class Few:
    """`images`: uint8 (n, size, size, channels), at least one; `names`: of each."""

    names: list[str]
    images: np.ndarray


def read_few(texts: Sequence[str], data: DataSettings, channels: int, most: int) -> Few:
    """The first `most` images of what `texts` name, one after the other, cut and resized as `data` says.

    Raises:
        UserError: there is nothing of that name, no image in it, a single file that is no image, or a pack of other
            images than the model's.
    """
    data = without_video(data)
    names: list[str] = []
    images: list[np.ndarray] = []
    recipe = recipe_for(data, channels)
    with Decoder(recipe, ()) as decoder:
        for text in texts:
            for name, image in islice(read_one(text, data, recipe, decoder), most - len(names)):
                names.append(name)
                images.append(image)
    if not images:
        raise UserError(f"IMAGES {' '.join(texts)}: no image that can be read; give image files, a folder or a pack")
    return Few(names, np.stack(images))


def without_video(data: DataSettings) -> DataSettings:
    """Which frames of a video were taken says nothing of other images."""
    return data.model_copy(update={"prepare": data.prepare.model_copy(update={"every": 1, "fps": None})})


def recipe_for(data: DataSettings, channels: int) -> Recipe:
    """How training's own images were made, as far as it decides."""
    prepare = data.prepare.model_copy(update={"gray": channels == 1, "keep": "pixels", "frames": "first"})
    return recipe_of(data.size, prepare, data.decoding)


def read_one(text: str, data: DataSettings, recipe: Recipe, decoder: Decoder) -> Iterator[tuple[str, np.ndarray]]:
    if is_known_name(text):
        raise UserError(f"IMAGES {text}: a data set to be downloaded; make a pack of it: gen-dist prepare {text} PACK")
    folder = Path(os.path.expanduser(text))
    if text.startswith(BUNDLED):
        yield from of_pack(text, Pack.open(bundled_pack(text.removeprefix(BUNDLED))), recipe)
    elif is_pack(folder):
        yield from of_pack(text, Pack.open(folder), recipe)
    elif os.path.isfile(folder) and probe(folder) == "image":
        yield text, decode_file(folder, data, decoder)
    else:
        yield from of_source(text, data, decoder)


def of_pack(text: str, pack: Pack, recipe: Recipe) -> Iterator[tuple[str, np.ndarray]]:
    if pack.shape != (recipe.size, recipe.size, recipe.channels):
        height, width, channels = pack.shape
        raise UserError(
            f"IMAGES {text}: images of {width}×{height} with {channels} channels, but the model's are "
            f"{recipe.size}×{recipe.size} with {recipe.channels}; give the images that the pack was made from"
        )
    for number in range(len(pack)):
        yield f"{text}#{number}", pack.read(np.array([number]))[0]


def decode_file(path: Path, data: DataSettings, decoder: Decoder) -> np.ndarray:
    try:
        content = read_image_file(path, data.decoding.limits().file_bytes)
    except RejectedError as error:
        raise UserError(f"IMAGES {path}: {error}; give an image") from None
    return decode_one(str(path), content, decoder)


def decode_one(name: str, content: Content, decoder: Decoder) -> np.ndarray:
    """Raises UserError, which calls the image `name`, where it cannot be decoded."""
    [outcome] = decoder.decode([content])
    if not isinstance(outcome, Decoded):
        raise UserError(f"IMAGES {name}: {outcome}; give an image")
    return outcome.images[0]


def of_source(text: str, data: DataSettings, decoder: Decoder) -> Iterator[tuple[str, np.ndarray]]:
    """Those that can be decoded; others are left out, as when a pack is made."""
    source = open_source(text, Opening(data.prepare, data.decoding, "IMAGES", report=lambda line: None))
    try:
        items = source.items()
        while some := list(islice(items, AT_ONCE)):
            outcomes = decoder.decode([content_or_reason(item.load) for item in some])
            for item, outcome in zip(some, outcomes, strict=True):
                if isinstance(outcome, Decoded):
                    yield item.name, outcome.images[0]
    finally:
        source.close()


def content_or_reason(load: Callable[[], Content]) -> Content | str:
    try:
        return load()
    except RejectedError as error:
        return str(error)
