"""What is trained on: where images come from, what is made of them, how they are changed while training."""

from typing import Literal

from pydantic import Field

from gen_dist.kernels.limits import Limits
from gen_dist.settings import Settings


class AugmentSettings(Settings):
    """Random changes of each image, in this order, drawn anew each time it comes; zero and false mean none.

    Part of the image, moved crop, then the affine map as in Keras' ImageDataGenerator, flips, brightness, contrast,
    saturation.
    """

    horizontal_flip: bool = Field(False, description="mirror left-right, each image with probability 1/2")
    vertical_flip: bool = Field(False, description="mirror top-bottom, each image with probability 1/2")
    crop_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="train on random parts of the image, of at least this share of its area; 1: all of it",
    )
    crop_ratio: float = Field(
        4 / 3, ge=1, le=16, description="of such parts, width to height, and height to width, at most"
    )
    crop_padding: int = Field(0, ge=0, le=512, description="move the image by up to this many pixels each way")
    rotation: float = Field(0.0, ge=0, le=180, description="rotate by up to this many degrees each way")
    width_shift: float = Field(0.0, ge=0, le=1, description="shift along the width by up to this fraction of it")
    height_shift: float = Field(0.0, ge=0, le=1, description="shift along the height by up to this fraction of it")
    shear: float = Field(0.0, ge=0, lt=90, description="shear by up to this many degrees each way")
    zoom: float = Field(0.0, ge=0, lt=1, description="per axis, by 1 - zoom to 1 + zoom; above 1 makes smaller")
    fill_mode: Literal["nearest", "reflect", "wrap", "constant"] = Field(
        "nearest", description="what comes in from outside when an image is moved"
    )
    fill_value: int = Field(0, ge=0, le=255, description="of the pixels that come in with fill_mode constant")
    brightness: float = Field(0.0, ge=0, le=1, description="multiply by a factor between 1 - this and 1 + this")
    contrast: float = Field(0.0, ge=0, le=1, description="stretch about the image's mean grey by such a factor")
    saturation: float = Field(0.0, ge=0, le=1, description="stretch about each pixel's grey by such a factor")


class DecodingSettings(Settings):
    """How foreign images are read when a folder is prepared, and how large they may be."""

    decoder: Literal["auto", "kernels", "libraries"] = Field(
        "auto",
        description="kernels: ours, for what they read; libraries: libjpeg-turbo, Pillow; auto: by folder size",
    )
    pixels: int = Field(100_000_000, ge=1, description="an image of more, width × height, is refused")
    side: int = Field(65_500, ge=1, le=65_535, description="an image that is wider or higher is refused")
    file_bytes: int = Field(400 << 20, ge=1, description="a longer file is refused")
    scans: int = Field(100, ge=1, description="a progressive JPEG that passes more often over the image is refused")
    inflated_bytes: int = Field(1 << 30, ge=1, description="a PNG whose pixels take more is refused")

    def limits(self) -> Limits:
        """What decoders and readers check."""
        return Limits(self.pixels, self.side, self.file_bytes, self.scans, self.inflated_bytes)


class PrepareSettings(Settings):
    """How a source becomes the square images of a pack."""

    crop: str = Field(
        "center",
        pattern=r"^(center|fit|stretch|pad|box:[0-9]{1,5},[0-9]{1,5},[0-9]{1,5},[0-9]{1,5})$",
        description="center | pad (all of it, in the middle) | fit (all of it, top left) | stretch | box:X,Y,W,H",
    )
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = Field(
        "lanczos", description="how pixels are averaged when the size changes; as Pillow's of that name"
    )
    gray: bool = Field(False, description="one channel, the luma, in place of three")
    background: str = Field(
        "white",
        pattern=r"^(white|black|gray|[0-9]{1,3},[0-9]{1,3},[0-9]{1,3})$",
        description="white | black | gray | R,G,B, behind transparent pixels and beside padded images",
    )
    frames: Literal["first", "all"] = Field("first", description="of an animated GIF, PNG or WebP")
    drop_duplicates: Literal["none", "exact", "near"] = Field(
        "none", description="leave out images equal to an earlier one, or nearly (perceptual hash)"
    )
    keep: Literal["pixels", "jpeg"] = Field(
        "pixels",
        description="jpeg: files of the images' own size, decoded while training, for random crops",
    )
    on_error: Literal["skip", "fail"] = Field("skip", description="what to do about a file that gives no image")
    every: int = Field(1, ge=1, description="of a video, take each so-manieth frame")
    fps: float | None = Field(None, gt=0, le=1000, description="of a video, take so many frames a second instead")


class DataSettings(Settings):
    path: str = Field("", description="a folder of images, a pack made by 'gen-dist prepare', or bundled:emoji")
    size: int = Field(64, ge=8, le=1024, description="side of the square training images, in pixels")
    channels: Literal[1, 3] | None = Field(None, description="1 or 3 refuses packs of the other kind; default: any")
    augment: AugmentSettings = AugmentSettings()
    prepare: PrepareSettings = PrepareSettings()
    decoding: DecodingSettings = DecodingSettings()
    loader_threads: int = Field(1, ge=1, le=64, description="threads that fill batches, per worker")
    prefetch: int = Field(2, ge=1, le=16, description="batches kept ready ahead of the step, per worker")
