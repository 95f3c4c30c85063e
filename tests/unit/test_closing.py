"""Files that are open are closed where something goes wrong on the way, or Python would warn."""

import gc
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack_files import PackFiles, Written
from gen_dist.errors import UserError
from gen_dist.preparing.fingerprints import FingerprintFiles
from gen_dist.sources.opening import Opening, open_source

HOW = Opening(PrepareSettings(), DecodingSettings())


def open_files(folder: Path) -> list[str]:
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return [path for path in (os.readlink(link) for link in links if os.path.lexists(link)) if str(folder) in path]


@pytest.fixture(autouse=True)
def nothing_stays_open(tmp_path: Path) -> Iterator[None]:
    """Not even until rubbish is collected."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("nothing here says which files are open")
    gc.disable()
    yield
    gc.enable()
    assert open_files(tmp_path) == []


def test_a_folder_with_a_damaged_archive(tmp_path: Path) -> None:
    for name in "ab":
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("1.png", bytes(1000))
    os.truncate(tmp_path / "b.zip", 100)
    with pytest.raises(UserError, match=r"b\.zip': its directory") as caught:
        open_source(str(tmp_path), HOW)
    assert caught.tb is not None  # which would hold what the frames hold
    assert open_files(tmp_path) == []


def test_the_archive_of_cifar(tmp_path: Path) -> None:
    (tmp_path / "test_batch.bin").write_bytes(bytes(3073))
    with tarfile.open(tmp_path / "cifar.tar", "w") as archive:
        archive.add(tmp_path / "test_batch.bin", "cifar-10-batches-bin/test_batch.bin")
    source = open_source(str(tmp_path / "cifar.tar"), HOW)
    assert source.total == 1
    source.close()
    assert open_files(tmp_path) == []


@pytest.mark.parametrize(
    "left", [{}, {"fingerprints": 3}, {"fingerprints": 3, "names": 3}, {"fingerprints": 480, "names": 3}]
)
def test_fingerprints_that_are_not_all_there(tmp_path: Path, left: dict[str, int]) -> None:
    for name, length in left.items():
        (tmp_path / name).write_bytes(np.arange(length).astype(np.uint8).tobytes())
    with pytest.raises((OSError, ValueError)) as caught:
        FingerprintFiles(tmp_path, 3)
    assert caught.tb is not None
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("missing", ["labels", "checksums", "offsets", "sizes", "jpegs-00000"])
def test_a_pack_that_is_not_all_there(tmp_path: Path, missing: str) -> None:
    with_one = PackFiles(tmp_path, (8, 8, 3), kept="jpeg")
    with_one.append(b"a file", None, (8, 8))
    written = with_one.state()
    with_one.discard()
    (tmp_path / f"{missing}.npy").unlink()
    with pytest.raises(OSError, match=missing) as caught:
        PackFiles(tmp_path, (8, 8, 3), kept="jpeg", written=Written(**vars(written)))
    assert caught.tb is not None
    assert open_files(tmp_path) == []
