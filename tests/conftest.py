"""Small data that every kind of test uses, made here."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from gen_dist.data.pack_files import About
from gen_dist.data.pack_writer import PackWriter
from tests import hosts as namespaces

TINY_IMAGES = 37  # a prime: no batch divides it


def write_pack(path: Path, images: int = TINY_IMAGES, size: int = 16) -> Path:
    """A pack of coloured discs, each in another place."""
    y, x = np.mgrid[0:size, 0:size]
    generator = np.random.default_rng(7)
    with PackWriter(path, (size, size, 3)) as writer:
        for _ in range(images):
            centre, colour = generator.uniform(3, size - 3, 2), generator.integers(0, 256, 3)
            disc = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < size)[..., None]
            writer.append(np.where(disc, colour, 255).astype(np.uint8))
        writer.finish(About("made by a test", {"images": images}, None, []))
    return path


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder() -> Iterator[None]:
    """Where commands put what they must not leave behind. Short, because Ray puts Unix sockets deep below it."""
    folder = tempfile.mkdtemp(prefix="t", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "tiny")


@pytest.fixture(scope="session")
def hosts() -> Callable[..., AbstractContextManager[list[namespaces.Host]]]:
    """`tests.hosts.hosts`, which makes hosts out of network namespaces; skips where that cannot be done."""
    if reason := namespaces.available():
        pytest.skip(reason)
    return namespaces.hosts
