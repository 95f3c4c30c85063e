"""Pictures and animations as files: where they may go, and how they are written."""

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from gen_dist.atomic import write_atomic
from gen_dist.errors import UserError
from gen_dist.record.pictures import image_grid, save_png

PICTURE, ANIMATIONS = ".png", (".gif", ".mp4")
NO_VIDEO = "needs PyAV: pip install 'gen-dist-train[video]', or write a .gif"
EVEN = 2  # sides of a video are multiples of it


def check_out(out: Path, suffixes: Sequence[str]) -> None:
    """Before anything is computed.

    Raises:
        UserError: the file has another ending, or lies in a folder that does not exist; a video, but no PyAV.
    """
    if out.suffix.lower() not in suffixes:
        raise UserError(f"--out {out}: must end in {' or '.join(suffixes)}")
    if not (parent := out.absolute().parent).is_dir():
        what = "is a file" if parent.exists() else "is no folder; make it"
        raise UserError(f"--out {out}: cannot be written: '{out.parent}' {what}, or give another place")
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; give the name of a file")
    if out.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise UserError(f"--out {out}: {NO_VIDEO}") from None


def write_singles(folder: Path, images: np.ndarray) -> None:
    """A PNG file for each image, named by its number, in a folder that is new or empty.

    Raises:
        UserError: it holds something, or cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"--out {folder}: is not empty; name a new folder, or a file that ends in .png")
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({error.strerror}); give another place") from None
    for number, image in enumerate(images):
        save_png(folder / f"{number:06d}.png", image)


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
