"""Packs to train on and packs held out: faces split by person, CIFAR-10 within each class, Fashion-MNIST as it is."""

import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gen_dist.config import DecodingSettings, PrepareSettings
from gen_dist.data.pack import Pack
from gen_dist.preparing.prepare import prepare
from gen_dist.sources.opening import Opening, open_source

FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
TRAINING_PEOPLE = 20  # of 30, ten faces each
TRAINING_PICTURES = 1800  # of 2,000 in each class


@dataclass(frozen=True)
class Data:
    train: Path
    held_out: Path

    def packs(self) -> tuple[Pack, Pack]:
        return Pack.open(self.train), Pack.open(self.held_out)


def prepare_data(name: str, archives: Path, folder: Path) -> Data:
    """The packs of a table's data in `folder`, made from the files in `archives` unless they are there."""
    data = Data(folder / name / "train", folder / name / "held-out")
    if not (data.train / "meta.json").exists() or not (data.held_out / "meta.json").exists():
        kind, _, size = name.partition("-")
        {"olivetti": _olivetti, "cifar": _cifar, "fashion": _fashion}[kind](data, archives, int(size or 64))
    return data


def _olivetti(data: Data, archives: Path, size: int) -> None:
    _from_tar(
        data, archives / "olivetti-faces.tar", size, lambda file: int(file.name[6:8]) < TRAINING_PEOPLE, gray=True
    )


def _cifar(data: Data, archives: Path, size: int) -> None:
    _from_tar(data, archives / "cifar10-train.tar", size, lambda file: int(file.stem) < TRAINING_PICTURES, gray=False)


def _from_tar(data: Data, archive: Path, size: int, trains: Callable[[Path], bool], gray: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
        for path, wanted in ((data.train, True), (data.held_out, False)):
            side = Path(folder) / ("train" if wanted else "held-out")
            for file in sorted(Path(folder, archive.stem).rglob("*.*")):
                if trains(file) == wanted:
                    place = side / file.relative_to(Path(folder, archive.stem))
                    place.parent.mkdir(parents=True, exist_ok=True)
                    file.rename(place)
            _prepare(path, side, size, gray)


def _fashion(data: Data, archives: Path, size: int) -> None:
    folder = archives / "fashion-mnist" if (archives / "fashion-mnist").is_dir() else FASHION
    for path, side in ((data.train, "train"), (data.held_out, "t10k")):
        with tempfile.TemporaryDirectory() as temporary:
            for part in ("images-idx3", "labels-idx1"):
                shutil.copy(folder / f"{side}-{part}-ubyte.gz", temporary)
            _prepare(path, Path(temporary), size, gray=True)


def _prepare(path: Path, source_path: Path, size: int, gray: bool) -> None:
    settings = PrepareSettings(gray=gray)
    source = open_source(str(source_path), Opening(settings, DecodingSettings()))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        prepare(source, path, size, settings)
    finally:
        source.close()
