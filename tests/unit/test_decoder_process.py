"""The decoding subprocess and its parent: it may crash, hang, be killed or stopped, and the next file is decoded."""

import io
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.errors import RunError
from gen_dist.preparing import decoder_process as module
from gen_dist.preparing.decoder_process import DecoderProcess
from gen_dist.preparing.outcome import Decoded
from gen_dist.preparing.recipe import Recipe

RECIPE = Recipe(8)

# A decoder that misbehaves for files that say so.
DECODER = """
import os, sys, time
from gen_dist.preparing import decode
from gen_dist.preparing.recipe import recipe_from_json

real = decode._open

def opened(data, recipe):
    if b"CRASH" in data:
        os.abort()
    if b"HANG" in data:
        time.sleep(60)
    if b"EAT" in data:
        bytearray(2 << 30)
    return real(data, recipe)

decode._open = opened
decode.serve(recipe_from_json(sys.argv[1]))
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen]:
    """Every subprocess that is started during the test."""
    processes: list[subprocess.Popen] = []
    real = subprocess.Popen

    def start(*arguments: object, **options: object) -> subprocess.Popen:
        processes.append(real(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return processes


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "misbehaving.py").write_text(DECODER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(module, "DECODER", "misbehaving")


def encoded(frames: int = 1, side: int = 8) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)
    first, *rest = (Image.fromarray(one) for one in pixels)
    file = io.BytesIO()
    first.save(file, "PNG", save_all=frames > 1, append_images=rest)
    return file.getvalue()


def pixels_of(outcome: Decoded | str) -> np.ndarray:
    assert isinstance(outcome, Decoded), outcome
    return outcome.images


def test_what_comes_back() -> None:
    with DecoderProcess(Recipe(8, all_frames=True)) as decoder:
        decoded = decoder.decode(encoded(frames=3, side=20))
        assert isinstance(decoded, Decoded)
        assert (decoded.images.shape, decoded.width, decoded.height, decoded.jpegs) == ((3, 8, 8, 3), 20, 20, None)
        assert "header is damaged" in str(decoder.decode(b"nothing"))
    with DecoderProcess(Recipe(8, channels=1, keep_jpeg=True)) as decoder:
        assert pixels_of(decoder.decode(encoded(side=20))).shape == (1, 20, 20, 3)


@pytest.mark.usefixtures("misbehaving")
def test_a_file_that_crashes_the_decoder(started: list[subprocess.Popen]) -> None:
    with DecoderProcess(RECIPE) as decoder:
        first = pixels_of(decoder.decode(encoded()))
        assert decoder.decode(encoded() + b"CRASH") == "crashes the decoder (signal 6)"
        assert decoder.decode(encoded() + b"EAT") == "takes more than 1.5 GiB to decode"
        np.testing.assert_array_equal(pixels_of(decoder.decode(encoded())), first)
    assert [process.returncode for process in started] == [-signal.SIGABRT, -signal.SIGABRT, 0]


@pytest.mark.usefixtures("misbehaving")
def test_a_file_that_takes_too_long() -> None:
    with DecoderProcess(RECIPE, seconds=1.5) as decoder:
        assert decoder.decode(encoded() + b"HANG") == "takes more than 1.5 seconds to decode"
        pixels_of(decoder.decode(encoded()))


def test_a_killed_decoder_costs_no_image(started: list[subprocess.Popen]) -> None:
    with DecoderProcess(RECIPE) as decoder:
        first = pixels_of(decoder.decode(encoded()))
        started[0].kill()
        started[0].wait()
        np.testing.assert_array_equal(pixels_of(decoder.decode(encoded())), first)
    assert [process.returncode for process in started] == [-signal.SIGKILL, 0]


def test_a_stopped_decoder_is_replaced(started: list[subprocess.Popen]) -> None:
    with DecoderProcess(RECIPE, seconds=1.5) as decoder:
        pixels_of(decoder.decode(encoded()))
        started[0].send_signal(signal.SIGSTOP)
        assert decoder.decode(encoded() + bytes(10 << 20)) == "takes more than 1.5 seconds to decode"
        pixels_of(decoder.decode(encoded()))
    assert [process.returncode for process in started] == [-signal.SIGKILL, 0]


def test_a_decoder_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DECODER", "no.such.module")
    how = r"""does not start \(exit code 1\); python -m no.such.module says why"""
    with DecoderProcess(RECIPE) as decoder, pytest.raises(RunError, match=how):
        decoder.decode(encoded())


def test_no_process_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    how = "^the image decoder does not start: Resource temporarily unavailable$"
    with DecoderProcess(RECIPE) as decoder, pytest.raises(RunError, match=how):
        decoder.decode(encoded())
