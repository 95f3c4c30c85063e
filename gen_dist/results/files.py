"""Pictures and animations as files: where they may go, and how they are written."""

import io
import os
import shutil
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from gen_dist.atomic import write_atomic
from gen_dist.errors import UserError
from gen_dist.record.pictures import image_grid, save_png

PICTURE, ANIMATIONS = ".png", (".gif", ".mp4")
NO_VIDEO = "needs PyAV: pip install 'gen-dist-train[video]', or write a .gif"
EVEN = 2  # sides of a video are multiples of it
LEAST_SIDE, MOST_SIDE = 2, 16384  # of a file, in pixels
MOST_PIXELS = 1 << 28  # of a file: 800 MB


def check_out(out: Path, suffixes: Sequence[str]) -> None:
    """Before anything is computed.

    Raises:
        UserError: the file has another ending, or lies in a folder that does not exist; a video, but no PyAV.
    """
    if out.suffix.lower() not in suffixes:
        raise UserError(f"--out {out}: must end in {' or '.join(suffixes)}")
    check_parent(out)
    if os.path.isdir(out):
        raise UserError(f"--out {out}: is a folder; give the name of a file")
    if out.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise UserError(f"--out {out}: {NO_VIDEO}") from None


def check_parent(out: Path, name: str = "--out") -> None:
    parent = out.absolute().parent
    if not os.path.isdir(parent):
        what = "is a file" if os.path.exists(parent) else "is no folder; make it"
        raise UserError(f"{name} {out}: cannot be written: '{out.parent}' {what}, or give another place")


def check_new_folder(folder: Path) -> None:
    """Before anything is computed. Raises UserError unless there is nothing, or an empty folder."""
    check_parent(folder)
    if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
        raise UserError(f"--out {folder}: is not empty; name a new folder, or a file that ends in .png")


def write_singles(folder: Path, parts: Iterable[np.ndarray]) -> None:
    """A PNG file for each image of all parts, named by its number, in a new folder, which appears when all are there.

    Raises:
        UserError: it cannot be written.
    """
    number, partial = count(), folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for images in parts:
            for image in images:
                save_png(partial / f"{next(number):06d}.png", image)
        partial.replace(folder)  # an empty one may be there
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({error.strerror}); give another place") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_pixels(images: int, height: int, width: int, how: str) -> None:
    """Before so many images are made to be written into one file. `how`: which options make them fewer.

    Raises:
        UserError: they would take too much memory, or a side more than files hold.
    """
    if images * height * width > MOST_PIXELS:
        what = "a picture" if images == 1 else f"{images:,} pictures"
        raise UserError(f"{what} of {width}×{height} pixels: too much for a file; take fewer images: {how}")
    if not (LEAST_SIDE <= width <= MOST_SIDE and LEAST_SIDE <= height <= MOST_SIDE):
        raise UserError(f"pictures of {width}×{height} pixels: a side must be between {LEAST_SIDE} and {MOST_SIDE}")


def paired_rows(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
    """Two sets of n images as a picture: each row of the first over the row of the second that belongs to it."""
    rows = []
    for start in range(0, len(above), columns):
        for images in (above[start : start + columns], below[start : start + columns]):
            missing = [(0, columns - len(images)), (0, 0), (0, 0), (0, 0)]
            rows.append(np.pad(images, missing, constant_values=128) if len(above) > columns else images)
    return image_grid(np.concatenate(rows), min(columns, len(above)))


def write_animation(out: Path, frames: Sequence[np.ndarray], frames_per_second: float) -> None:
    """Frames (uint8, H x W x C, C = 1 or 3, all alike) as a GIF that repeats for ever, or as an MP4.

    Raises:
        UserError: it cannot be written.
    """
    height, width = frames[0].shape[:2]
    check_pixels(len(frames), height, width, "--steps, --rows or --frames")
    data = gif(frames, frames_per_second) if out.suffix.lower() == ".gif" else mp4(frames, frames_per_second)
    try:
        write_atomic(out, data)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror or error}); give another place") from None


def gif(frames: Sequence[np.ndarray], frames_per_second: float) -> bytes:
    pictures = [Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame) for frame in frames]
    if pictures[0].mode == "RGB":  # each with the 256 colours that suit it best
        pictures = [picture.quantize(256) for picture in pictures]
    buffer = io.BytesIO()
    duration = max(20, round(1000 / frames_per_second))  # ms; browsers show faster ones slowly
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0)
    return buffer.getvalue()


def mp4(frames: Sequence[np.ndarray], frames_per_second: float) -> bytes:
    import av

    height, width = (side - side % EVEN for side in frames[0].shape[:2])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(frames_per_second).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            colour = np.ascontiguousarray(np.broadcast_to(frame[:height, :width], (height, width, 3)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colour, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()
