"""Videos as a source: every frame an item, in order of time, decoded once and one behind the other.

Pixels are taken as stored: colours by the stream's own matrix (BT.601 where it names none), no correction of oblong
pixels, no deinterlacing. Most codecs have no checksums: a damage that the decoder does not notice is in the picture.
"""

import hashlib
import importlib.util
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from gen_dist.errors import UserError
from gen_dist.kernels.limits import Limits
from gen_dist.sources.source import Item, RejectedError
from gen_dist.sources.stretches import block
from gen_dist.sources.video_process import Counted, NoFramesError, VideoProcess


@dataclass(frozen=True)
class _Clip:
    path: str
    name: str
    class_name: str | None
    bytes: int
    changed: int  # mtime, in nanoseconds
    counted: Counted
    wanted: np.ndarray  # frame numbers, int64, ascending


class VideoSource:
    """The frames of one video or several. Items come decoded: each holds its frame until it is forgotten."""

    consecutive = True

    def __init__(
        self, description: str, clips: Sequence[_Clip], rejected: list[tuple[str, str]], taken: str, limits: Limits
    ) -> None:
        self.description = description
        self.class_names = None
        self.rejected = rejected
        self._clips, self._taken, self._limits = clips, taken, limits

    @property
    def total(self) -> int:
        """Exact: a frame that should be there and is not gives an item that is rejected."""
        return sum(len(clip.wanted) for clip in self._clips)

    @property
    def total_bytes(self) -> int:
        return sum(clip.bytes for clip in self._clips)

    def stamp(self) -> str:
        digest = hashlib.sha256()
        for clip in self._clips:
            digest.update(os.fsencode(f"{clip.name}\0{self._stamp(clip)}\0"))
        return digest.hexdigest()

    def items(self) -> Iterator[Item]:
        """Raises UserError if a file has changed since the source was opened."""
        with VideoProcess(self._limits) as process:
            for clip in self._clips:
                if _facts(clip.path) != (clip.bytes, clip.changed):
                    raise UserError(f"video '{clip.path}': it has changed while it was being read; run again")
                stamp = self._stamp(clip)
                for number, content in process.frames(clip.path, clip.wanted):
                    where = block(clip.name, number, clip.counted.frames)
                    held = content.nbytes if isinstance(content, np.ndarray) else 0
                    yield Item(
                        f"{clip.name}[{number:06d}]", stamp, partial(_load, content), clip.class_name, where, held
                    )

    def blocks(self) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for clip in self._clips:
            counts.update(block(clip.name, number, clip.counted.frames) for number in clip.wanted.tolist())
        return counts

    def close(self) -> None:
        """Nothing is open between calls of `items`."""

    def _stamp(self, clip: _Clip) -> str:
        return f"{clip.bytes}-{clip.changed}-{self._taken}"


def open_video(path: Path, every: int = 1, fps: float | None = None, limits: Limits | None = None) -> VideoSource:
    """The frames of a video file, named `clip.mp4[000123]`.

    `every`: each so-manieth frame, from the first on. `fps`: for each instant k / fps after the first frame, the first
    frame shown at or after it; no frame comes twice, so more than the video has gives every frame once. Reads the file
    once to count its frames. Raises UserError for what is no video, for both `every` and `fps`, and without PyAV.
    """
    return _open(os.path.abspath(path), [(str(path), Path(path).name)], False, every, fps, limits or Limits())


def open_videos(
    paths: Sequence[Path], root: Path, every: int = 1, fps: float | None = None, limits: Limits | None = None
) -> VideoSource:
    """The frames of the videos `paths`, in the order of their names' bytes; names are relative to the folder `root`.

    The top-level folder is the class. Files that are no video are `rejected`. Raises UserError as `open_video` does,
    and if none is a video.
    """
    named = [(str(path), os.path.relpath(path, root).replace(os.sep, "/")) for path in paths]
    named.sort(key=lambda one: os.fsencode(one[1]))
    return _open(os.path.abspath(root), named, True, every, fps, limits or Limits())


def choose(counted: Counted, every: int, fps: float | None) -> np.ndarray:
    """The numbers of the frames to take, int64, ascending. Raises NoFramesError where `fps` needs times it lacks."""
    if fps is None:
        return np.arange(0, counted.frames, every, dtype=np.int64)
    wanted = Fraction(str(fps))
    if counted.times is not None:
        step, times = wanted * counted.base, counted.times.tolist()
    elif counted.rate is not None:
        step, times = wanted / counted.rate, range(counted.frames)
    else:
        raise NoFramesError("its frames have no times; give 'every' in place of 'fps'")
    # Exact integers: at k / fps a rounded product may fall on either side. A frame is taken if the number of instants
    # up to it is larger than up to the frame before.
    instants = [(at - times[0]) * step.numerator // step.denominator for at in times]
    taken = [n for n, k in enumerate(instants) if n == 0 or k > instants[n - 1]]
    return np.array(taken, np.int64)


def _open(
    description: str, named: list[tuple[str, str]], many: bool, every: int, fps: float | None, limits: Limits
) -> VideoSource:
    _check(every, fps)
    clips: list[_Clip] = []
    rejected: list[tuple[str, str]] = []
    with VideoProcess(limits) as process:
        for path, name in named:
            try:
                clips.append(_clip(process, path, name, many, every, fps))
            except NoFramesError as error:
                rejected.append((name, str(error)))
            else:
                if problem := clips[-1].counted.problem:
                    rejected.append((name, problem))
    if not clips:
        first = f"{rejected[0][0]}: {rejected[0][1]}" if rejected else "no file"
        what = f"folder '{description}': none of its {len(named)} files is a readable video ({first})"
        raise UserError(what if many else f"video '{description}': {rejected[0][1]}; give a video file, such as MP4")
    return VideoSource(description, clips, rejected, f"fps{fps:g}" if fps is not None else f"every{every}", limits)


def _clip(process: VideoProcess, path: str, name: str, many: bool, every: int, fps: float | None) -> _Clip:
    try:
        about = os.stat(path)
    except OSError as error:
        raise NoFramesError(error.strerror or "cannot be read") from error
    if not stat.S_ISREG(about.st_mode):  # opening a pipe would wait for ever
        raise NoFramesError("not a regular file")
    if not about.st_size:
        raise NoFramesError("empty file")
    counted = process.count(os.path.abspath(path))
    folder, inside, _ = name.partition("/")
    class_name = folder if many and inside else None
    wanted = choose(counted, every, fps)
    return _Clip(os.path.abspath(path), name, class_name, about.st_size, about.st_mtime_ns, counted, wanted)


def _facts(path: str) -> tuple[int, int] | None:
    """Length and date of a file; None where there is none any more."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


def _check(every: int, fps: float | None) -> None:
    if fps is not None and every != 1:
        raise UserError(f"every {every} and fps {fps:g}: give one of them")
    if every < 1:
        raise UserError(f"every {every}: out of range; give 1 for each frame, 2 for each second one")
    if fps is not None and not 0 < fps <= 1e6:
        raise UserError(f"fps {fps:g}: out of range; give the number of frames to take of a second, such as 2 or 0.5")
    if importlib.util.find_spec("av") is None:
        raise UserError("reading videos takes PyAV, which is not installed: pip install 'gen-dist-train[video]'")


def _load(content: np.ndarray | str) -> np.ndarray:
    if isinstance(content, str):
        raise RejectedError(content)
    return content
