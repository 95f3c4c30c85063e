"""Decides whether our decoders did right by one hostile file: no fault, and Pillow's decision or a reason for another.

Our own message is never reason enough, as it may be wrong. Where we refuse a PNG that Pillow accepts, what Pillow reads
of it is put into a faultless file, of which we must make Pillow's pixels; where we accept one that Pillow refuses,
Pillow must make ours of it without the chunks that we do not read. For JPEGs the witnesses are libjpeg-turbo in its
strict mode, which tells of its first warning, and a walk over the entropy-coded data.
"""

import io
import re
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from benchmarks import fuzz_entropy
from benchmarks.fuzz_entropy import CUT, NO_CODE, OVERRUN, RESTART
from benchmarks.fuzz_files import Case, Format, pick
from benchmarks.fuzz_repair import WHOLE, Place, repair_png, strip_png
from gen_dist.kernels import jpeg, png
from gen_dist.kernels.limits import DecodeError, Limits, UnsupportedError
from gen_dist.kernels.taps import FILTERS
from gen_dist.preparing.decode import MADE_UP, _rgb

LIMITS = Limits(pixels=1 << 22, side=1 << 15, inflated_bytes=1 << 24)
LONGEST_SECONDS = 1.0  # of CPU time
MOST_BYTES = 64 << 20  # that one decode may add to the process: 16 a pixel of the limit
DECODERS: dict[Format, Callable[[bytes, Limits], np.ndarray]] = {"JPEG": jpeg.decode, "PNG": png.decode}
MOST_LEVELS, MOST_MEAN = 2, 0.5  # by which the pixels of a JPEG may differ from libjpeg-turbo's
LARGEST_COEFFICIENT = 2048  # twice what an encoder of 8-bit samples can arrive at, after rounding
ACCEPTED, REFUSED, LEFT = "accepted", "refused", "left to Pillow"

HEADER = "IHDR not first, twice or too long (Pillow takes the last)"
# Why we refuse a PNG that Pillow accepts, by our message.
PNG_REASONS = {
    "checksum of chunk": "a wrong checksum (Pillow checks none from IDAT on)",
    "no IEND chunk|cut short in chunk|name is not letters": "cut short or damaged after its last pixel",
    "do not follow one another": "IDAT chunks apart (Pillow reads the first ones, if they suffice)",
    "first chunk is not IHDR|second IHDR|IHDR chunk of|pixels: ": HEADER,
    "values that PNG does not have": "compression method not 0, or interlace method above 1 (Pillow does not look)",
    "^cut short: [1-9]": "rows are missing (Pillow leaves them black, if the data end with a row)",
    "^damaged: Error -3": "compressed data damaged behind the last pixel (where Pillow may have stopped)",
    "no IDAT": "no IDAT chunk (Pillow takes an fdAT chunk)",
    "second PLTE|second tRNS|PLTE after|tRNS after|tRNS before": "PLTE or tRNS twice or out of order",
    "PLTE chunk of|tRNS chunk of": "PLTE or tRNS of a wrong length (Pillow takes what it needs)",
    "no PLTE|beyond the palette": "a pixel beyond the palette (Pillow makes up a colour)",
}
# Those among them that stay after a repair of the order and the checksums.
PNG_SUBSTANCE = re.compile("PLTE chunk of|tRNS chunk of|no PLTE|beyond the palette|second PLTE|PLTE after|tRNS before")
FRAME = "an animation's first frame is not of the image's size (Pillow decodes it alone)"
ANCILLARY = "an ancillary chunk is damaged, which we do not read"
FILLED_IN = "libjpeg warns that pixels are made up; Pillow hides it"
JPEG_REASONS = {  # by what `fuzz_entropy` finds
    OVERRUN: "a block of more than 64 coefficients (libjpeg drops what is too much without a warning)",
    NO_CODE: "a code that is in no table (libjpeg's first warning is another one, and Pillow hides it)",
    CUT: "too few data before a marker (libjpeg's first warning is another one, and Pillow hides it)",
    RESTART: "no restart marker where one is due (libjpeg's first warning is another one, and Pillow hides it)",
}
BEHIND = "the end is missing or damaged (libjpeg refuses or warns, Pillow does not look)"
BEYOND_RANGE = "pixels differ: coefficients beyond what 8 bits can give, which overflow in libjpeg-turbo"
OUTSIDE = "metadata or the end damaged or missing (all blocks are there, and libjpeg makes our pixels of them)"


@dataclass(frozen=True)
class Outcome:
    """What a decoder made of a file: pixels, or why there are none."""

    decision: str
    pixels: np.ndarray | None = None
    why: str = ""


@dataclass(frozen=True)
class Finding:
    """`group`: the row of the table it is counted in; `fault`: what our decoder did wrong, or empty."""

    group: tuple[str, str, str, str]  # format, our decision, Pillow's, the reason where they differ
    fault: str
    seconds: float
    bytes_added: int
    difference: float  # of pixels where both accept, mean


def judge(case: Case) -> Finding:
    reset_peak()
    before, started = resident("VmRSS"), time.thread_time()
    our = ours(case)
    seconds = time.thread_time() - started
    added = max(0, resident("VmHWM") - before)
    their = pillow(case.data)
    reason, fault, difference = "", our.why if our.decision == "" else "", 0.0
    if fault:
        pass
    elif case.changes == () and our.decision == REFUSED:
        fault = f"a good file refused: {our.why}"
    elif our.decision == LEFT:
        reason = re.sub(r"(critical chunk) \w+", r"\1", our.why)
    elif case.format == "PNG":
        reason, fault = judge_png(case.data, our, their)
    else:
        reason, fault, difference = judge_jpeg(case.data, our, their)
    if seconds > LONGEST_SECONDS:
        fault = f"took {seconds:.1f} s"
    if added > MOST_BYTES:
        fault = f"added {added >> 20} MB to the process"
    return Finding((case.format, our.decision, their.decision, reason), fault, seconds, added, difference)


def ours(case: Case) -> Outcome:
    try:
        pixels = DECODERS[case.format](case.data, LIMITS)
        if case.format == "JPEG":
            decode_resized(case.data, pixels.shape)
        return Outcome(ACCEPTED, pixels)
    except DecodeError as error:
        return Outcome(REFUSED, None, str(error))
    except UnsupportedError as error:
        return Outcome(LEFT, None, str(error))
    except Exception as error:  # whatever else it is, is what we look for
        return Outcome("", None, f"{type(error).__name__}: {error}")


def decode_resized(data: bytes, shape: tuple[int, ...]) -> None:
    """Decode a part to another size, by another path; what is asked for is a function of the data."""
    random = np.random.default_rng(zlib.crc32(data))
    height, width, channels = shape
    left, top = random.integers(0, (width, height))
    right, bottom = random.integers((left, top), (width, height)) + 1
    out = np.empty((*random.integers(1, 25, 2), channels), pick(random, (np.uint8, np.float32)))
    options = {"filter": pick(random, list(FILTERS)), "reduce": pick(random, (None, 1, 2, 4, 8)), "limits": LIMITS}
    jpeg.decode_resized(out, data, box=(float(left), float(top), float(right), float(bottom)), **options)


def pillow(data: bytes) -> Outcome:
    """As the pipeline calls it, with our limits on the size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=["JPEG", "PNG"])
            LIMITS.check_size(*image.size)
            image.load()
            return Outcome(ACCEPTED, np.asarray(_rgb(image)))
        except Exception as error:  # which damaged files make it raise of nearly every kind
            return Outcome(REFUSED, None, f"{type(error).__name__}: {error}")


def judge_png(data: bytes, our: Outcome, their: Outcome) -> tuple[str, str]:
    """(reason, fault)."""
    if our.decision == REFUSED and their.decision == REFUSED:
        return "", ""
    if same(our, their):
        return "", ""
    if our.decision == ACCEPTED and their.decision == REFUSED:
        return (ANCILLARY, "") if same(our, pillow(strip_png(data))) else ("", f"accepted; Pillow: {their.why}")
    repaired, place = repair_png(data, LIMITS)
    if place is None and "second IHDR" in our.why:
        return HEADER, ""
    place, again = place or WHOLE, pillow(repaired)
    if not same(again, their, place):
        return "", f"{our.why or 'other pixels'}; Pillow does not make its pixels of the repaired file: {again.why}"
    if our.decision == ACCEPTED:
        return (FRAME, "") if place != WHOLE else ("", "other pixels than Pillow's")
    reasons = [reason for pattern, reason in PNG_REASONS.items() if re.search(pattern, our.why)]
    reason = FRAME if place != WHOLE else "".join(reasons[:1])
    ours_again = ours(Case("PNG", (), repaired))
    explained = same(ours_again, again) or ours_again.decision == LEFT or PNG_SUBSTANCE.search(ours_again.why)
    if reason and explained:
        return reason, ""
    return "", f"refused ({our.why}), and repaired: {ours_again.why or 'other pixels than Pillow makes of it'}"


def judge_jpeg(data: bytes, our: Outcome, their: Outcome) -> tuple[str, str, float]:
    """(reason, fault, mean difference of pixels)."""
    witness = libjpeg(data)
    made_up = any(sign in witness.why.lower() for sign in MADE_UP)
    if our.decision == REFUSED:
        if their.decision == REFUSED:
            return "", "", 0.0
        reason = FILLED_IN if made_up else JPEG_REASONS.get(fuzz_entropy.examine(data)[0], "")
        if not reason and witness.pixels is None:
            again = ours(Case("JPEG", (), fuzz_entropy.repair_jpeg(data)))
            reason = BEHIND if same(again, their) else ""
        return reason, "" if reason else f"refused ({our.why}), libjpeg: {witness.why or 'fine'}", 0.0
    reference, reason = witness if witness.pixels is not None else their, ""
    if made_up or their.decision == REFUSED:
        reference, reason = libjpeg(fuzz_entropy.repair_jpeg(data), strict=False), OUTSIDE
    if reference.pixels is None or our.pixels is None or reference.pixels.shape[:2] != our.pixels.shape[:2]:
        return "", f"accepted; libjpeg: {witness.why}; Pillow: {their.why}; repaired: {reference.why}", 0.0
    differences = np.abs(our.pixels.astype(np.int16) - reference.pixels)
    difference = float(differences.mean())
    damage, largest = fuzz_entropy.examine(data) if made_up or differences.max() > MOST_LEVELS else ("", 0)
    if damage:
        return "", f"accepted, but {damage}; libjpeg: {witness.why}", difference
    if differences.max() > MOST_LEVELS or difference > MOST_MEAN:
        if largest <= LARGEST_COEFFICIENT:
            return "", f"pixels differ by {difference:.2f}, at most {differences.max()}; {largest}", difference
        return BEYOND_RANGE, "", 0.0
    return reason, "", difference


def libjpeg(data: bytes, strict: bool = True) -> Outcome:
    """libjpeg-turbo; where it is strict, it refuses what it otherwise only warns of."""
    try:
        return Outcome(ACCEPTED, simplejpeg.decode_jpeg(data, "RGB", strict=strict))
    except Exception as error:
        return Outcome(REFUSED, None, str(error))


def same(one: Outcome, other: Outcome, place: Place = WHOLE) -> bool:
    """Whether both have pixels, and the first's are those that the second has at `place`."""
    if one.pixels is None or other.pixels is None or one.pixels.shape[:2] != other.pixels[place].shape[:2]:
        return False
    return bool((one.pixels == other.pixels[place]).all())


def reset_peak() -> None:
    """The process's peak of memory becomes what it has now. Linux."""
    Path("/proc/self/clear_refs").write_text("5")


def resident(name: str) -> int:
    """VmRSS or VmHWM (its peak), in bytes."""
    status = Path("/proc/self/status").read_bytes()
    return int(status.split(name.encode() + b":", 1)[1].split(None, 1)[0]) << 10
