"""Videos decoded at arm's length: `python -m gen_dist.sources.video_decode LIMITS…` serves one parent.

As in `preparing/decode.py`: large C programs read files from anywhere, so they run here, with a limit on memory, and
may crash without harm. LIMITS are numbers, the fields of `kernels.limits.Limits` in their order. The parent's socket is
standard input, for both directions. First we send `READY`. Request: `REQUEST`, the path, and for `FRAMES` the wanted
frame numbers, ascending int64. Replies: `REPLY` and so many bytes, until one of kind `END`, `COUNTED` or `REFUSED`.
A `TICK` every second or so shows that we are alive where the work is long.
"""

import contextlib
import json
import os
import resource
import signal
import struct
import sys
import time
from array import array
from collections.abc import Iterator
from typing import IO, Any

from gen_dist.arms_length import READY
from gen_dist.kernels.limits import DecodeError, Limits

REQUEST = struct.Struct("<BQQ")  # COUNT or FRAMES, bytes of the path, number of wanted frames
COUNT, FRAMES = 1, 2
REPLY = struct.Struct("<BqIIIBQ")  # kind, frame number, width, height, bytes of a row, turn, length of what follows
TICK, REFUSED, COUNTED, FRAME, LOST, END = range(6)
TRANSPOSED, ROWS_REVERSED, COLUMNS_REVERSED = 4, 2, 1  # `turn`: what makes a picture upright, in this order

MEMORY_BYTES = 3 << 30  # of address space: 8K video with its reference frames fits
MOST_FRAMES = 20_000_000  # a week at 30 a second; what an index may take in memory
SECONDS_PER_TICK = 1.0
# Containers that hold their own data. Not among them: playlists and image sequences, which name other files.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,ivf"
# What FFmpeg's decoders print, without an error, when they made up a part of the picture.
MADE_UP = ("crc mismatch", "conceal", "damaged", "error while decoding", "missing reference", "error at mb")
TELL_THEIR_LENGTH = ("mov", "matroska", "avi", "flv", "asf")  # of others FFmpeg guesses it, from the bit rate
SHOWN_LATE = 1.0  # seconds: streams that end so much before the file's duration say that it was cut


class RefusedError(Exception):
    """Why a file gives no frames, in a few words for the user."""


class Replies:
    """Our end of the socket."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._last = file, time.monotonic()

    def send(
        self,
        kind: int,
        payload: bytes | memoryview = b"",
        number: int = 0,
        size: tuple[int, int, int] = (0, 0, 0),
        turn: int = 0,
    ) -> None:
        """`size`: width, height, bytes of a row."""
        self._file.write(REPLY.pack(kind, number, *size, turn, len(payload)))
        self._file.write(payload)
        self._file.flush()
        self._last = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self._last > SECONDS_PER_TICK:
            self.send(TICK)


def count(path: bytes, limits: Limits, replies: Replies) -> None:
    """Reads every packet and decodes none; says how many frames there are, and when each is shown.

    A codec may hide a picture or drop one, so this is what there should be, not what there will be.
    """
    with _opened(path, limits) as (container, stream):
        times, untimed, ends, problem = array("q"), False, 0.0, ""
        try:
            for packet in container.demux():
                replies.tick()
                if not packet.size:
                    continue
                at = packet.pts if packet.pts is not None else packet.dts
                if at is not None and packet.time_base:
                    ends = max(ends, float((at + (packet.duration or 0)) * packet.time_base))
                if packet.stream is not stream or _hidden(packet, stream):
                    continue
                untimed |= at is None
                times.append(at or 0)
                if len(times) > MOST_FRAMES:
                    raise RefusedError(f"more than {MOST_FRAMES} frames")
        except _ffmpeg_error() as error:
            problem = f"cannot be read to its end ({_text(error)})"
        if not times:
            raise RefusedError(problem or "no frame in it")
        promised = (container.duration or 0) / 1e6 + _start(container)
        told = any(name in container.format.name for name in TELL_THEIR_LENGTH)
        if not problem and told and ends < promised - max(SHOWN_LATE, promised / 50):
            problem = f"cut short: {ends:.1f} of {promised:.1f} seconds are there"
        about = {"frames": len(times), "problem": problem, "base": _ratio(stream.time_base)}
        about |= {"rate": _ratio(stream.average_rate), "width": stream.width, "height": stream.height}
        shown = b"" if untimed else array("q", sorted(times)).tobytes()
        replies.send(COUNTED, json.dumps(about).encode() + b"\n" + shown)


def frames(path: bytes, wanted: array, limits: Limits, replies: Replies) -> None:
    """Sends the wanted ones, RGB24, and LOST with a reason for those that a damage took."""
    with _opened(path, limits) as (container, stream):
        numbers = iter(wanted)
        next_wanted = next(numbers, None)
        for number, (frame, reason) in enumerate(_decoded(container, stream, limits)):
            replies.tick()
            if number != next_wanted:
                continue
            if frame is not None and not reason:
                reason = _send_frame(frame, number, limits, replies)
            if reason:
                replies.send(LOST, reason.encode("utf-8", "backslashreplace"), number)
            next_wanted = next(numbers, None)
            if next_wanted is None:
                break
    replies.send(END)


def _decoded(container: Any, stream: Any, limits: Limits) -> Iterator[tuple[Any, str]]:
    """(frame, why it must not be used or "") in order of presentation; (None, reason) for a packet that gave none.

    After a damage, frames are refused up to the next whole key frame: they were predicted from the damaged one.
    """
    import av

    context = stream.codec_context
    context.thread_count = 1  # frames must not depend on who came first; and their messages come in this thread
    context.options = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(limits.pixels)}
    damage, whole_from = "", None
    with av.logging.Capture(local=True) as messages:
        for packet in _packets(container, stream):
            messages.clear()
            try:
                if packet is not None and packet.is_corrupt:
                    raise ValueError("a broken packet")
                out = context.decode(packet)
            except _ffmpeg_error() as error:
                out, trouble = [], _text(error)
                if isinstance(error, MemoryError):
                    trouble = f"takes more than {MEMORY_BYTES / 2**30:g} GiB to decode"
            except ValueError as error:
                out, trouble = [], str(error)
            else:
                trouble = _made_up(messages) or ("made up in part" if any(frame.is_corrupt for frame in out) else "")
            if trouble:
                damage, whole_from = f"damaged, or after a damage ({trouble})", None
            elif damage and whole_from is None and packet is not None and packet.is_keyframe:
                whole_from = packet.pts
            for frame in out:
                if whole_from is not None and frame.pts is not None and frame.pts >= whole_from:
                    damage, whole_from = "", None
                yield frame, damage
            if trouble and not out and packet is not None and packet.size:
                yield None, damage


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """Those of the stream, and at last None, which asks the decoder for what it still holds."""
    with contextlib.suppress(_ffmpeg_error()):  # the count has told of it
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    yield None


def _send_frame(frame: Any, number: int, limits: Limits, replies: Replies) -> str:
    """Returns why it could not be sent, or ""."""
    from av.video.reformatter import Interpolation

    try:
        limits.check_size(frame.width, frame.height)  # which may change on the way
        exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT  # on every CPU the same
        plane = frame.reformat(format="rgb24", interpolation=int(exact), threads=1).planes[0]
    except DecodeError as error:
        return str(error)
    except (_ffmpeg_error(), ValueError) as error:
        return f"cannot be turned into RGB ({_text(error)})"
    size = (frame.width, frame.height, plane.line_size)
    replies.send(FRAME, memoryview(plane)[: plane.line_size * frame.height], number, size, _turn(frame))
    return ""


def _turn(frame: Any) -> int:
    """From the display matrix: (p, q) is shown at (a p + c q, b p + d q), p to the right and q down."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None or len(bytes(matrix)) != 36:
        return 0
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return TRANSPOSED | (ROWS_REVERSED if b < 0 else 0) | (COLUMNS_REVERSED if c < 0 else 0)
    return (ROWS_REVERSED if d < 0 else 0) | (COLUMNS_REVERSED if a < 0 else 0)


@contextlib.contextmanager
def _opened(path: bytes, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream. Raises RefusedError."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        container = av.open("file:" + os.fsdecode(path), options=options, metadata_errors="replace")
    except _ffmpeg_error() as error:
        raise RefusedError(f"not a video, or damaged at its start ({_text(error)})") from None
    with container:
        pictures = [one for one in container.streams.video if not one.disposition & _cover()]
        if not pictures:
            raise RefusedError("no video in it, only sound or a cover picture")
        try:
            limits.check_size(pictures[0].width, pictures[0].height)
        except DecodeError as error:
            raise RefusedError(str(error)) from None
        yield container, pictures[0]


def _cover() -> Any:
    from av.stream import Disposition

    return Disposition.attached_pic


def _hidden(packet: Any, stream: Any) -> bool:
    """Whether it gives no picture: an edit list cuts it, or VP8 only keeps it to predict others."""
    return packet.is_discard or (stream.codec_context.name in ("vp8", "libvpx") and not bytes(packet)[0] & 16)


def _ffmpeg_error() -> type[Exception]:
    import av

    return av.FFmpegError


def _text(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _made_up(messages: list[tuple[int, str, str]]) -> str:
    lines = (text.strip() for _, _, text in messages)
    return next((line for line in lines if any(sign in line.lower() for sign in MADE_UP)), "")


def _start(container: Any) -> float:
    return (container.start_time or 0) / 1e6


def _ratio(value: Any) -> list[int] | None:
    return None if not value else [value.numerator, value.denominator]


def serve(limits: Limits) -> None:
    """Answers requests until the parent closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    import av

    av.logging.set_level(av.logging.ERROR)  # otherwise they are not formatted, and cannot be captured
    with open(0, "rb", closefd=False) as requests, open(0, "wb", closefd=False) as file:
        file.write(READY)
        file.flush()
        while head := requests.read(REQUEST.size):
            kind, length, wanted = REQUEST.unpack(head)
            path, numbers = requests.read(length), array("q", requests.read(8 * wanted))
            replies = Replies(file)
            try:
                count(path, limits, replies) if kind == COUNT else frames(path, numbers, limits, replies)
            except MemoryError:
                replies.send(REFUSED, f"takes more than {MEMORY_BYTES / 2**30:g} GiB to decode".encode())
            except ConnectionError:
                return  # nobody listens
            except Exception as error:  # hostile bytes can raise nearly everything
                reason = str(error) if isinstance(error, RefusedError) else f"damaged ({_text(error)})"
                replies.send(REFUSED, " ".join(reason.split()).encode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    serve(Limits(*(int(number) for number in sys.argv[1:])))
