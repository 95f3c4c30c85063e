"""Verifying packs a few MB at a time finds what verifying image by image would."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from gen_dist.data import pack as pack_module
from gen_dist.data.pack import Pack
from tests.packs import flip, noise, pack_of


@pytest.mark.parametrize("block", [1, 90, 100, 500, 1 << 22])
@pytest.mark.parametrize("kept", ["pixels", "jpeg"])
def test_whatever_is_read_at_once(tmp_path: Path, monkeypatch, kept: str, block: int) -> None:
    monkeypatch.setattr(pack_module, "_BLOCK", block)
    lengths = np.random.default_rng(0).integers(1, 200, 23)
    images = noise(23) if kept == "pixels" else [bytes([i]) * int(n) for i, n in enumerate(lengths)]
    path = pack_of(tmp_path / "pack", images, kept=kept, part_bytes=700)
    parts = sorted(path.glob("images-*" if kept == "pixels" else "jpegs-*"))
    assert len(parts) > 1
    calls: list[tuple[int, int]] = []
    assert Pack.open(path).verify(lambda done, total: calls.append((done, total))) == []
    assert calls[-1] == (23, 23)
    assert calls == sorted(set(calls))
    for part in parts:
        flip(part, -1)
    pack = Pack.open(path)
    want = [i for i, image in enumerate(pack.stored()) if zlib.crc32(image.tobytes()) != pack.checksums[i]]
    assert len(want) == len(parts)
    assert pack.verify() == want
