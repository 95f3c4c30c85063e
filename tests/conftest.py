"""Small data that every kind of test uses, made here."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from gen_dist.data.pack_files import About
from gen_dist.data.pack_index import Entry
from gen_dist.data.pack_writer import PackWriter
from gen_dist.kernels.jpeg import read_header
from tests import hosts as namespaces
from tests.jpegs import encoded

TINY_IMAGES = 37  # a prime: no batch divides it


def write_pack(path: Path, images: int = TINY_IMAGES, size: int = 16, channels: int = 3) -> Path:
    """A pack of discs, coloured or (with one channel) grey, each in another place."""
    y, x = np.mgrid[0:size, 0:size]
    generator = np.random.default_rng(7)
    with PackWriter(path, (size, size, channels)) as writer:
        for _ in range(images):
            centre, colour = generator.uniform(3, size - 3, 2), generator.integers(0, 256, 3)
            disc = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < size)[..., None]
            writer.append(np.where(disc, colour, 255).astype(np.uint8)[..., :channels].copy())
        writer.finish(About("made by a test", {"images": images}, None, []))
    return path


def write_encoded_pack(
    path: Path, files: Sequence[bytes], shape: tuple[int, int, int] = (16, 16, 3), part_bytes: int = 1 << 30, **settings
) -> Path:
    """A pack of these JPEGs, in parts of about `part_bytes`; `settings` of data.prepare."""
    with PackWriter(path, shape, part_bytes, kept="jpeg") as writer:
        for index, data in enumerate(files):
            header = read_header(data)
            writer.append(data, size=(header.width, header.height))
            writer.note(Entry(f"{index}.jpg", ""))
        named = {f"data.prepare.{name}": value for name, value in settings.items()}
        writer.finish(About("made by a test", {"images": len(files)}, settings=named))
    return path


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Where commands put what they must not leave behind. Short, because Ray puts Unix sockets deep below it."""
    folder = tempfile.mkdtemp(prefix="t", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For what is too small for more: threads that wait for each other take longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "tiny")


@pytest.fixture(scope="session")
def packs(tiny_pack, tmp_path_factory) -> dict[str, Path]:
    """Of each kind that training reads, as `tests.training_cases.PACKS` names them."""
    folder = tmp_path_factory.mktemp("packs")
    files = [encoded(20 + i % 7, 24 + i % 5, "4:2:0" if i % 3 else "4:4:4", seed=i) for i in range(TINY_IMAGES)]
    return {
        "colour": tiny_pack,
        "gray": write_pack(folder / "gray", channels=1),
        "jpeg": write_encoded_pack(folder / "jpeg", files, part_bytes=sum(map(len, files)) // 3),
        "jpeg gray": write_encoded_pack(folder / "jpeg gray", files, (16, 16, 1), crop="stretch", filter="bilinear"),
    }


@pytest.fixture(scope="session")
def hosts() -> Callable[..., AbstractContextManager[list[namespaces.Host]]]:
    """`tests.hosts.hosts`, which makes hosts out of network namespaces; skips where that cannot be done."""
    if reason := namespaces.available():
        pytest.skip(reason)
    return namespaces.hosts
