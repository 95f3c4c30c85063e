"""Named data sets: the table itself, and how they are found in a user's folder."""

import gzip
import hashlib
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gen_dist.errors import UserError
from gen_dist.sources.catalogue import CATALOGUE, NAMES, Entry, find
from gen_dist.sources.downloading import fetch
from gen_dist.sources.locating import locate, open_named

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
PACKED = tuple(f"{name}.gz" for name in IDX)
DOTTED = tuple(name.replace("-idx", ".idx") for name in IDX)
BINARY = (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")


def make(folder: Path, *names: str) -> Path:
    """Names that end in "/" are folders."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(name.encode())
    return folder


# The table.


def test_the_names() -> None:
    assert NAMES == ("mnist", "fashion-mnist", "cifar10", "cifar100", "caltech101", "celeba", "stanford-cars")


@pytest.mark.parametrize("entry", CATALOGUE, ids=NAMES)
def test_an_entry_is_complete(entry: Entry) -> None:
    assert entry.title
    assert entry.terms
    assert urlsplit(entry.home).scheme == "https"
    assert (entry.class_names is not None) == (entry.classes == "fixed")
    assert bool(entry.member) == (entry.forms[0].kind == "nested")
    published = tuple(names[0] for names in entry.forms[0].needs)
    assert published == tuple(file.name for file in entry.files)
    for file in entry.files:
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.checksum)
        assert file.bytes is None or file.bytes > 0
        assert bool(file.urls) != bool(entry.by_hand)
        for url in file.urls:
            assert urlsplit(url).scheme in ("http", "https")
            assert urlsplit(url).path.rsplit("/")[-1] == file.name
    assert len({file.checksum for file in entry.files}) == len(entry.files)


@pytest.mark.parametrize(("name", "near"), [("mist", "mnist"), ("CIFAR-10", "cifar10"), ("zzz", None)])
def test_a_name_that_is_not_known(name: str, near: str | None) -> None:
    with pytest.raises(UserError) as caught:
        find(name)
    assert str(caught.value).startswith(f"data set '{name}': not known; give one of mnist, ")
    assert (f"did you mean '{near}'?" in str(caught.value)) == (near is not None)


@pytest.mark.parametrize(("name", "file"), [("celeba", "img_align_celeba.zip"), ("stanford-cars", "cars_train.tgz")])
def test_what_only_a_person_can_get(tmp_path: Path, name: str, file: str) -> None:
    with pytest.raises(UserError) as caught:
        fetch(name, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    for words in (file, find(name).home, "--from DIR"):
        assert words in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=rf"^--from '.*empty': no {file}[^\n]*{find(name).home}"):
        locate(name, tmp_path / "empty")


# A user's folder.


@pytest.mark.parametrize(
    ("name", "files", "kind", "expected"),
    [
        ("mnist", PACKED, "idx", PACKED),
        ("mnist", IDX, "idx", IDX),
        ("mnist", DOTTED, "idx", DOTTED),
        ("mnist", (*PACKED, *IDX), "idx", PACKED),
        ("mnist", (*PACKED[:2], *IDX[2:]), "idx", (*PACKED[:2], *IDX[2:])),
        ("mnist", [f"MNIST/raw/{name}" for name in IDX], "idx", [f"MNIST/raw/{name}" for name in IDX]),
        ("fashion-mnist", [f"FashionMNIST/raw/{name}" for name in PACKED], "idx", None),
        ("cifar10", ["cifar-10-binary.tar.gz"], "cifar", None),
        ("cifar10", [f"cifar-10-batches-bin/{name}" for name in BINARY], "cifar", ["cifar-10-batches-bin"]),
        ("cifar10", BINARY, "cifar", ["."]),
        ("cifar100", ["cifar-100-binary.tar.gz"], "cifar", None),
        ("cifar100", ["cifar-100-binary/train.bin"], "cifar", ["cifar-100-binary"]),
        ("cifar100", ["train.bin", "test.bin"], "cifar", ["."]),
        ("caltech101", ["caltech-101.zip"], "nested", None),
        ("caltech101", ["caltech-101/101_ObjectCategories.tar.gz"], "archive", None),
        ("caltech101", ["101_ObjectCategories/ant/image_0001.jpg"], "folder", ["101_ObjectCategories"]),
        ("caltech101", ["accordion/a.jpg", "airplanes/a.jpg", "yin_yang/a.jpg"], "folder", ["."]),
        ("celeba", ["img_align_celeba.zip"], "archive", None),
        ("celeba", ["Img/img_align_celeba.zip"], "archive", None),
        ("celeba", ["celeba/img_align_celeba/000001.jpg"], "folder", ["celeba/img_align_celeba"]),
        ("celeba", ["000001.jpg", "202599.jpg"], "folder", ["."]),
        ("stanford-cars", ["cars_train.tgz", "cars_test.tgz"], "archive", None),
        ("stanford-cars", ["cars_train.tgz"], "archive", None),
        ("stanford-cars", ["stanford_cars/cars_train/1.jpg"], "folder", ["stanford_cars/cars_train"]),
        ("stanford-cars", ["cars_train/1.jpg", "cars_test/1.jpg"], "folder", ["cars_train", "cars_test"]),
    ],
)
def test_where_things_lie(tmp_path: Path, name: str, files: list[str], kind: str, expected: list[str] | None) -> None:
    found = locate(name, make(tmp_path, *files))
    assert found.kind == kind
    assert found.paths == [tmp_path / one for one in (files if expected is None else expected)]


def test_another_file_is_taken_with_a_note(tmp_path: Path) -> None:
    """As a distribution's copy, compressed anew: the same content, another checksum."""
    content = b"the same content"
    published, packed_anew = gzip.compress(content, 9), gzip.compress(content, 1)
    assert published != packed_anew
    mnist = find("mnist")
    files = tuple(replace(file, checksum=f"md5:{hashlib.md5(published).hexdigest()}") for file in mnist.files)
    mnist = replace(mnist, files=files)
    for name in PACKED:
        (tmp_path / name).write_bytes(published)
    assert locate(mnist, tmp_path).notes == []
    (tmp_path / PACKED[1]).write_bytes(packed_anew)
    (note,) = locate(mnist, tmp_path).notes
    assert note.startswith(f"{PACKED[1]}: not the published file (md5 ")
    assert note.endswith("; taken as it is")


@pytest.mark.parametrize(
    ("name", "files", "reason"),
    [
        ("mnist", PACKED[:3], "no t10k-labels-idx1-ubyte.gz of MNIST in it; put it there, or leave out --from"),
        ("mnist", (), "no train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz and t10k"),
        ("cifar10", BINARY[:5], "no cifar-10-binary.tar.gz .or the unpacked folder cifar-10-batches-bin. of CIFAR-10"),
        ("cifar10", ["cifar-10-batches-py/"], "cifar-10-batches-py: Python pickles, which are never loaded"),
    ],
)
def test_what_is_missing(tmp_path: Path, name: str, files: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=f"^--from '.*': [^\n]*{reason}"):
        locate(name, make(tmp_path, *files))


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^--from '.*nothing': no such folder"):
        locate("mnist", tmp_path / "nothing")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    make(tmp_path, "img_align_celeba/000001.jpg", "list_eval_partition.txt")
    (note,) = locate("celeba", tmp_path).notes
    assert note.startswith("list_eval_partition.txt: the official split is not used")


def test_opening(tmp_path: Path) -> None:
    """The opener of the kind that was found, with its paths: from a folder, or from the cache without a download."""
    opened = []

    def opener(paths: list[Path], entry: Entry) -> object:
        opened.append((paths, entry.name))
        return entry.title

    own = make(tmp_path / "own", "101_ObjectCategories.tar.gz")
    openers = {"archive": opener}
    assert open_named("caltech101", own, openers) == ("Caltech 101", [])  # type: ignore[arg-type,comparison-overlap]
    cached = make(tmp_path / "cache/mnist", *PACKED).parent
    mnist = find("mnist")
    digests = [f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in PACKED]
    files = tuple(replace(file, checksum=one) for file, one in zip(mnist.files, digests, strict=True))
    source, notes = open_named(replace(mnist, files=files), None, {"idx": opener}, cache=cached)  # type: ignore
    assert (source, notes) == ("MNIST", [])
    assert opened == [
        ([own / "101_ObjectCategories.tar.gz"], "caltech101"),
        ([cached / "mnist" / name for name in PACKED], "mnist"),
    ]
