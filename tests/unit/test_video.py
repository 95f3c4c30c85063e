"""Videos as a source: pixels against what was encoded without loss, and a reason for everything that is no frame."""

import os
import shutil
import signal
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from gen_dist.errors import UserError
from gen_dist.kernels.limits import Limits
from gen_dist.sources.source import RejectedError
from gen_dist.sources.stretches import STRETCHES, stretch
from gen_dist.sources.video import VideoSource, choose, open_video, open_videos
from gen_dist.sources.video_process import Counted, VideoProcess

FRAMES = 30
KEY_EVERY = 6


def pictures(count: int = FRAMES, width: int = 40, height: int = 24, seed: int = 0) -> np.ndarray:
    """uint8, count x height x width x 3, different in every corner."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def encode(
    path: Path,
    images: np.ndarray,
    times: Sequence[int] | None = None,
    *,
    rate: int = 25,
    turn: tuple[int, bool, bool] = (0, False, False),
    index_first: bool = False,
) -> Path:
    """FFV1 in Matroska with checksums, PNG in QuickTime: both without loss. `times`: in milliseconds."""
    codec, layout, options = ("png", "rgb24", {}) if path.suffix == ".mov" else ("ffv1", "bgr0", {"slicecrc": "1"})
    with av.open(os.fspath(path), "w", options={"movflags": "faststart"} if index_first else {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options | {"g": str(KEY_EVERY)})
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = layout
        if turn != (0, False, False):
            stream.set_display_rotation(*turn)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mkv", pictures())


def outcomes(source: VideoSource) -> list[np.ndarray | str]:
    found: list[np.ndarray | str] = []
    for item in source.items():
        try:
            content = item.load()
            assert isinstance(content, np.ndarray)
            found.append(content)
        except RejectedError as error:
            found.append(str(error))
    assert len(found) == source.total
    return found


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_every_frame_comes_as_it_was_encoded(tmp_path: Path, suffix: str) -> None:
    images = pictures(5, width=37, height=23)  # rows that FFmpeg pads
    source = open_video(encode(tmp_path / f"a{suffix}", images))
    for _ in range(2):  # `items` may be called again
        items = list(source.items())
        assert [item.name for item in items] == [f"a{suffix}[{n:06d}]" for n in range(5)]
        np.testing.assert_array_equal(np.stack([item.load() for item in items]), images)
    assert source.total == 5
    assert source.total_bytes == (tmp_path / f"a{suffix}").stat().st_size
    assert (source.rejected, source.class_names, items[0].class_name) == ([], None, None)


def test_a_codec_that_reorders_its_frames(tmp_path: Path) -> None:
    """Presented in order of time, although B-frames are stored after what follows them."""
    path = tmp_path / "b.mp4"
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"bf": "2", "qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in np.kron(pictures(24, 8, 6), np.ones((1, 8, 8, 1), np.uint8)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    with av.open(os.fspath(path)) as container:
        stored = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert stored != sorted(stored), "no B-frames: this tests nothing"
    with av.open(os.fspath(path)) as container:
        frames = sorted(container.decode(video=0), key=lambda frame: frame.pts or 0)
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
    found = np.stack(outcomes(open_video(path)))
    # Colours at edges are interpolated otherwise, so each is compared with all.
    apart = np.abs(found[:, None].astype(int) - expected[None]).mean(axis=(2, 3, 4))
    assert apart.argmin(axis=1).tolist() == list(range(24))
    assert apart.diagonal().max() < 10 < np.sort(apart, axis=1)[:, 1].min()


def test_pictures_that_are_never_shown_are_no_frames(tmp_path: Path) -> None:
    """VP8 stores some that only help to predict others. Here one is made so, by its bit for being shown."""
    path = tmp_path / "hidden.webm"
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in pictures(12, 64, 48):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    with av.open(os.fspath(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(packets) == open_video(path).total == 12
    data = bytearray(path.read_bytes())
    where = data.index(packets[5])
    assert data[where] & 16
    data[where] ^= 16
    path.write_bytes(data)
    assert all(isinstance(one, np.ndarray) for one in outcomes(open_video(path)))
    assert open_video(path).total == 11


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_frames_come_upright(tmp_path: Path, degrees: int, flips: tuple[bool, bool]) -> None:
    """`degrees` counter-clockwise is how a player turns what is stored, and a mirror comes after it."""
    image = pictures(1)
    (shown,) = outcomes(open_video(encode(tmp_path / "phone.mov", image, turn=(degrees, *flips))))
    expected = np.rot90(image[0], degrees // 90)
    expected = expected[:, ::-1] if flips[0] else expected[::-1] if flips[1] else expected
    np.testing.assert_array_equal(shown, expected)


def counted(times: Sequence[int] | None, base: Fraction = Fraction(1, 1000), rate: Fraction | None = None) -> Counted:
    frames = 10 if times is None else len(times)
    return Counted(frames, 8, 8, None if times is None else np.array(times, np.int64), base, rate, "")


def naive_choice(times: Sequence[Fraction], fps: Fraction) -> list[int]:
    taken: list[int] = []
    for k in range(int((times[-1] - times[0]) * fps) + 1):
        first = next(n for n, at in enumerate(times) if at - times[0] >= k / fps)
        if not taken or first > taken[-1]:
            taken.append(first)
    return taken


@pytest.mark.parametrize("fps", [0.3, 1, 2, 2.5, 7, 24, 25, 29.97, 1000])
@pytest.mark.parametrize(
    ("base", "times"),
    [
        (Fraction(1, 25), list(range(60))),
        (Fraction(1, 30000), [1001 * n for n in range(90)]),
        (Fraction(1, 1000), [500, 533, 567, 1500, 1501, 1501, 2500, 9000, 9040]),  # variable, with a repeated time
        (Fraction(1, 90000), [-3600 + 3600 * n for n in range(50)]),
    ],
)
def test_fps_takes_the_first_frame_at_or_after_each_instant(base: Fraction, times: list[int], fps: float) -> None:
    expected = naive_choice([at * base for at in times], Fraction(str(fps)))
    assert choose(counted(times, base), 1, fps).tolist() == expected


def test_choosing() -> None:
    assert choose(counted(range(10)), 3, None).tolist() == [0, 3, 6, 9]
    assert choose(counted(None, rate=Fraction(10)), 1, 5).tolist() == [0, 2, 4, 6, 8]
    assert choose(counted([0, 2**62, 2**63 - 1]), 1, 1e6).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "expected"), [({"every": 7}, [0, 7, 14, 21, 28]), ({"fps": 5.0}, [0, 5, 10, 15, 20, 25])]
)
def test_some_of_the_frames(clip: Path, options: dict, expected: list[int]) -> None:
    source = open_video(clip, **options)
    np.testing.assert_array_equal(np.stack(outcomes(source)), pictures()[expected])
    assert [item.name for item in source.items()] == [f"clip.mkv[{n:06d}]" for n in expected]


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = [0, 40, 80, 1000, 1010, 1020, 2500]
    source = open_video(encode(tmp_path / "v.mkv", pictures(7), times), fps=1)
    np.testing.assert_array_equal(np.stack(outcomes(source)), pictures(7)[[0, 3, 6]])


def test_the_stamp_tells_changes(clip: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy2(clip, tmp_path / "clip.mkv"))
    stamps = [open_video(path).stamp(), open_video(path, every=2).stamp(), open_video(path, fps=2).stamp()]
    source = open_video(path)
    assert source.stamp() == stamps[0]
    os.utime(path, ns=(1, 1))
    stamps.append(open_video(path).stamp())
    assert len(set(stamps)) == 4
    with pytest.raises(UserError, match=r"clip\.mkv': it has changed while it was being read"):
        next(source.items())
    path.unlink()
    with pytest.raises(UserError, match=r"clip\.mkv': it has changed while it was being read"):
        next(source.items())


# Splitting by time.


@pytest.mark.parametrize("frames", [1, 3, 19, 20, 21, 1999, 2000])
def test_stretches_are_contiguous_and_equal(frames: int) -> None:
    numbers = [stretch(n, frames) for n in range(frames)]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(min(frames, STRETCHES)))
    lengths = np.bincount(numbers)
    assert lengths.max() - lengths.min() <= 1


def test_items_know_their_block(clip: Path) -> None:
    assert [item.block for item in open_video(clip, every=10).items()] == [f"clip.mkv#{k:02d}" for k in (0, 6, 13)]


# Folders.


def test_a_folder_of_videos(tmp_path: Path, clip: Path) -> None:
    names = ["b/two.mkv", "a/x/one.mkv", "B.mkv", "b/\udcff|two: 2.mkv"]  # the last: no UTF-8, and FFmpeg's own signs
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clip, tmp_path / name)
    (tmp_path / "a/notes.mp4").write_text("no video")
    paths = [tmp_path / name for name in [*names, "a/notes.mp4"]]
    source = open_videos(paths, tmp_path, every=15)
    items = list(source.items())
    ordered = sorted(names, key=os.fsencode)
    assert [item.name for item in items] == [f"{name}[{n:06d}]" for name in ordered for n in (0, 15)]
    assert [item.class_name for item in items[::2]] == [None, "a", "b", "b"]
    assert items[1].block == "B.mkv#10"
    ((name, reason),) = source.rejected
    assert name == "a/notes.mp4"
    assert reason.startswith("not a video")
    assert source.total == 8
    with pytest.raises(UserError, match="none of its 1 files is a readable video .a/notes.mp4: not a video"):
        open_videos([tmp_path / "a/notes.mp4"], tmp_path)


# What is no video, or damaged.


def audio(path: Path) -> None:
    with av.open(os.fspath(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))


def playlist(path: Path) -> None:
    encode(path.parent / "part.mkv", pictures(2))
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\npart.mkv\n#EXT-X-ENDLIST\n")


def concat(path: Path) -> None:
    encode(path.parent / "part.mkv", pictures(2))
    path.write_text("ffconcat version 1.0\nfile part.mkv\n")


def without_an_index(path: Path) -> None:
    whole = encode(path.parent / "whole.mov", pictures()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def no_frames(path: Path) -> None:
    whole = encode(path.parent / "whole.mkv", pictures()).read_bytes()
    path.write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75")])  # up to its first cluster


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(1).bytes(100_000))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "No such file"),
        (Path.mkdir, "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (Path.touch, "empty file"),
        (lambda path: path.write_text("hello"), "not a video"),
        (noise, "not a video"),
        (playlist, "not a video"),
        (concat, "not a video"),
        (audio, "no video in it"),
        (without_an_index, "not a video, or damaged at its start"),
        (no_frames, "(no frame in it|[0-9]+×[0-9]+ pixels: nothing to decode|not a video)"),
    ],
)
def test_what_is_no_video(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    make(tmp_path / "x.mkv")
    with pytest.raises(UserError, match=f"^video '.*x.mkv': {reason}[^\n]*$"):
        open_video(tmp_path / "x.mkv")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(side=39), "40×24 pixels: a side of more than 39"),
        (Limits(pixels=40 * 24 - 1), "40×24 pixels: more than"),
    ],
)
def test_too_large_frames(clip: Path, limits: Limits, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        open_video(clip, limits=limits)


@pytest.mark.parametrize("name", ["cut.mkv", "cut.mov"])
def test_a_cut_video_gives_what_is_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    images = pictures(100)
    whole = encode(path, images, index_first=True).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    source = open_video(path)
    found = outcomes(source)
    good = [image for image in found if isinstance(image, np.ndarray)]
    assert 40 <= len(good) <= 50
    np.testing.assert_array_equal(np.stack(good), images[: len(good)])
    assert all(isinstance(one, str) for one in found[len(good) :])
    ((video, reason),) = source.rejected
    assert video == name
    assert reason.startswith(("cut short", "cannot be read to its end"))


@pytest.mark.parametrize("seed", range(5))
def test_a_damage_costs_the_frames_up_to_the_next_key_frame(clip: Path, tmp_path: Path, seed: int) -> None:
    images = pictures()
    with av.open(os.fspath(clip)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    hit = int(np.random.default_rng(seed).integers(1, FRAMES))
    data = bytearray(clip.read_bytes())
    where = data.index(packets[hit]) + len(packets[hit]) // 2
    data[where] ^= 0x55
    (tmp_path / "damaged.mkv").write_bytes(data)
    lost = {n for n in range(FRAMES) if hit <= n < (hit // KEY_EVERY + 1) * KEY_EVERY}
    for number, outcome in enumerate(outcomes(open_video(tmp_path / "damaged.mkv"))):
        if number in lost:
            assert isinstance(outcome, str)
            assert outcome.startswith("damaged, or after a damage")
        else:
            np.testing.assert_array_equal(outcome, images[number])


def test_random_damage_never_breaks_the_count(clip: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    opened = 0
    for _ in range(20):
        data = bytearray(clip.read_bytes())
        for at in generator.integers(0, len(data), 8):
            data[at : at + 4] = generator.bytes(4)
        (tmp_path / "x.mkv").write_bytes(data)
        try:
            outcomes(open_video(tmp_path / "x.mkv"))
            opened += 1
        except UserError:
            pass
    assert opened


# The subprocess.


def test_a_crash_costs_the_rest_of_that_video_only(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mkv", pictures(200, 200, 100))  # more than the sockets hold
    with VideoProcess(Limits()) as process:
        wanted = np.arange(process.count(str(path)).frames)
        found = []
        for number, content in process.frames(str(path), wanted):
            found.append((number, content))
            if number == 3:
                os.kill(process.pid, signal.SIGKILL)
        assert [number for number, _ in found] == list(range(200))
        assert found[-1][1] == "crashes the decoder (signal 9)"
        again = [content for _, content in process.frames(str(path), wanted[:2])]
        np.testing.assert_array_equal(np.stack(again), pictures(200, 200, 100)[:2])


def test_a_decoder_that_hangs(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mkv", pictures(200, 200, 100))
    with VideoProcess(Limits()) as process:
        frames = process.frames(str(path), np.arange(200))
        next(frames)
        process._process.link().settimeout(0.3)
        os.kill(process.pid, signal.SIGSTOP)
        rest = [content for _, content in frames]
    assert len(rest) == 199
    assert rest[-1] == "takes more than 60 seconds to decode"


def test_leaving_in_the_middle_and_starting_again(clip: Path) -> None:
    source = open_video(clip)
    first = source.items()
    next(first)
    first.close()
    np.testing.assert_array_equal(np.stack(outcomes(source)), pictures())


def test_a_process_that_was_left_in_the_middle_of_its_reply(tmp_path: Path) -> None:
    path = encode(tmp_path / "long.mkv", pictures(50, 200, 100))
    with VideoProcess(Limits()) as process:
        left = process.frames(str(path), np.arange(50))
        next(left)
        left.close()  # type: ignore[attr-defined]
        assert process.count(str(path)).frames == 50


# Settings.


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"every": 2, "fps": 2.0}, "every 2 and fps 2: give one of them"),
        ({"every": 0}, "every 0: out of range"),
        ({"fps": 0.0}, "fps 0: out of range"),
        ({"fps": float("nan")}, "fps nan: out of range"),
    ],
)
def test_bad_settings(clip: Path, options: dict, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        open_video(clip, **options)


def test_without_pyav(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install 'gen-dist-train.video.'"):
        open_video(clip)
