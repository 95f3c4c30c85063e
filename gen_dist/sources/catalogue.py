"""Data sets known by name: where their files are, how to tell them, and what they hold. A table; acts on nothing."""

import difflib
from dataclasses import dataclass
from typing import Literal

from gen_dist.errors import UserError

Kind = Literal["idx", "cifar", "archive", "nested", "folder"]
Classes = Literal["fixed", "own", "folders", "none"]


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Args:
        name: what it is called, on the server and here.
        urls: where it can be had, tried in this order; none if only a person can get it.
        checksum: as published: `md5:` or `sha256:`, then hexadecimal digits.
        bytes: its length, None if not known.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    bytes: int | None


@dataclass(frozen=True)
class Form:
    """A way in which a data set may lie in a folder.

    Args:
        kind: what opens it. `idx`: pairs of IDX files, images then labels. `cifar`: an archive or a folder of CIFAR's
            binary version. `archive`, `folder`: of images. `nested`: an archive, whose member `Entry.member` is one.
        needs: for each path its possible names, relative, the published one first.
        itself: if all these lie in the folder, the folder is the (only) path, in place of `needs`.
    """

    kind: Kind
    needs: tuple[tuple[str, ...], ...] = ()
    itself: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A data set.

    Args:
        name: how the user calls it.
        title: how its makers do.
        files: what is downloaded; what it holds is the first of `forms`.
        forms: how it may lie in a user's folder, or in one of its sub-folders `places`.
        classes: `fixed` are `class_names`; `own` are in its files; `folders` are those of its images.
        class_names: in the order of their numbers.
        root: the folder, in the archive, that holds the images, "" for its top.
        leave_out: folders in `root` that belong to no class.
        member: of the outer archive, for the kind `nested`.
        home: the page that says what it is; where a person gets what we cannot.
        terms: under which it may be used, in a few words: not legal advice.
        by_hand: why it is not downloaded, and what to do; "" where it is.
        ignored: (file, why) that a note tells of, if it is there.
    """

    name: str
    title: str
    files: tuple[RemoteFile, ...]
    forms: tuple[Form, ...]
    classes: Classes
    home: str
    terms: str
    places: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    root: str = ""
    leave_out: tuple[str, ...] = ()
    member: str = ""
    by_hand: str = ""
    ignored: tuple[tuple[str, str], ...] = ()


_IDX = (
    *("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    *("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
)


def _idx_files(folders: tuple[str, ...], known: tuple[tuple[str, int], ...]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, tuple(folder + name for folder in folders), f"sha256:{digest}", length)
        for name, (digest, length) in zip(_IDX, known, strict=True)
    )


def _idx_form() -> Form:
    """Packed or not; the name with a dot is that of a common unpacked copy."""
    plain = [name.removesuffix(".gz") for name in _IDX]
    return Form("idx", tuple((f"{name}.gz", name, name.replace("-idx", ".idx")) for name in plain))


_CIFAR10_BINARY = (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin")
_KRIZ = "https://www.cs.toronto.edu/~kriz/"

CATALOGUE = (
    Entry(
        name="mnist",
        title="MNIST",
        files=_idx_files(
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            (
                ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
                ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
                ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
                ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
            ),
        ),
        forms=(_idx_form(),),
        places=("MNIST/raw", "raw", "mnist", "MNIST"),
        classes="fixed",
        class_names=tuple("0123456789"),
        home="https://yann.lecun.com/exdb/mnist/",
        terms="CC BY-SA 3.0, by Yann LeCun and Corinna Cortes",
    ),
    Entry(
        name="fashion-mnist",
        title="Fashion-MNIST",
        files=_idx_files(
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            (
                ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
                ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
                ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
                ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
            ),
        ),
        forms=(_idx_form(),),
        places=("FashionMNIST/raw", "raw", "fashion-mnist", "data/fashion"),
        classes="fixed",
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        home="https://github.com/zalandoresearch/fashion-mnist",
        terms="MIT, by Zalando SE",
    ),
    Entry(
        name="cifar10",
        title="CIFAR-10",
        files=(
            RemoteFile(
                "cifar-10-binary.tar.gz",
                (_KRIZ + "cifar-10-binary.tar.gz",),
                "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                170_052_171,
            ),
        ),
        forms=(
            Form("cifar", (("cifar-10-binary.tar.gz",),)),
            Form("cifar", (("cifar-10-batches-bin",),)),
            Form("cifar", itself=_CIFAR10_BINARY),
        ),
        places=("cifar10", "cifar-10"),
        classes="own",
        home=_KRIZ + "cifar.html",
        terms="none stated; its makers ask to cite Krizhevsky, 2009",
        ignored=(
            ("cifar-10-batches-py", "Python pickles, which are never loaded; the binary version is read"),
            ("cifar-10-python.tar.gz", "Python pickles, which are never loaded; the binary version is read"),
        ),
    ),
    Entry(
        name="cifar100",
        title="CIFAR-100",
        files=(
            RemoteFile(
                "cifar-100-binary.tar.gz",
                (_KRIZ + "cifar-100-binary.tar.gz",),
                "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                168_513_733,
            ),
        ),
        forms=(
            Form("cifar", (("cifar-100-binary.tar.gz",),)),
            Form("cifar", (("cifar-100-binary",),)),
            Form("cifar", itself=("train.bin", "test.bin")),
        ),
        places=("cifar100", "cifar-100"),
        classes="own",
        home=_KRIZ + "cifar.html",
        terms="none stated; its makers ask to cite Krizhevsky, 2009",
        ignored=(
            ("cifar-100-python", "Python pickles, which are never loaded; the binary version is read"),
            ("cifar-100-python.tar.gz", "Python pickles, which are never loaded; the binary version is read"),
        ),
    ),
    Entry(
        name="caltech101",
        title="Caltech 101",
        files=(
            RemoteFile(
                "caltech-101.zip",
                ("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip?download=1",),
                "sha256:331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
                None,  # what others say of its length is not certain
            ),
        ),
        forms=(
            Form("nested", (("caltech-101.zip",),)),
            Form("archive", (("101_ObjectCategories.tar.gz",),)),
            Form("folder", (("101_ObjectCategories",),)),
            Form("folder", itself=("accordion", "airplanes", "yin_yang")),
        ),
        places=("caltech-101", "caltech101"),
        classes="folders",
        root="101_ObjectCategories",
        leave_out=("BACKGROUND_Google",),
        member="caltech-101/101_ObjectCategories.tar.gz",
        home="https://data.caltech.edu/records/mzrjq-6wc02",
        terms="CC BY 4.0, by Li, Andreeto, Ranzato and Perona",
    ),
    Entry(
        name="celeba",
        title="CelebA, aligned and cropped",
        files=(
            RemoteFile(
                "img_align_celeba.zip",
                (),
                "sha256:46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
                1_443_490_838,
            ),
        ),
        forms=(
            Form("archive", (("img_align_celeba.zip",),)),
            Form("folder", (("img_align_celeba",),)),
            Form("folder", itself=("000001.jpg", "202599.jpg")),
        ),
        places=("celeba", "CelebA", "Img", "CelebA/Img"),
        classes="none",
        root="img_align_celeba",
        home="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        terms="non-commercial research only; agree to the terms on its page",
        by_hand="its makers ask you to agree to their terms, and give it by Google Drive: get img_align_celeba.zip",
        ignored=(
            ("list_eval_partition.txt", "the official split is not used: give a hold-out of your own"),
            ("list_attr_celeba.txt", "the 40 attributes are no classes"),
        ),
    ),
    Entry(
        name="stanford-cars",
        title="Stanford Cars",
        files=(
            RemoteFile(
                "cars_train.tgz",
                (),
                "sha256:512b227b30e2f0a8aab9e09485786ab4479582073a144998da74d64b801fd288",
                979_269_282,
            ),
            RemoteFile(
                "cars_test.tgz",
                (),
                "sha256:bffea656d6f425cba3c91c6d83336e4c5f86c6cffd8975b0f375d3a10da8e243",
                977_350_468,
            ),
        ),
        forms=(
            Form("archive", (("cars_train.tgz",), ("cars_test.tgz",))),
            Form("folder", (("cars_train",), ("cars_test",))),
            Form("archive", (("cars_train.tgz",),)),
            Form("folder", (("cars_train",),)),
        ),
        places=("stanford_cars", "stanford-cars", "car196"),
        classes="none",
        home="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        terms="non-commercial research only",
        by_hand="its server is gone: get cars_train.tgz, and cars_test.tgz if you like, from a copy you trust",
        ignored=(
            ("devkit", "the classes are in MATLAB files, which are not read"),
            ("car_devkit.tgz", "the classes are in MATLAB files, which are not read"),
        ),
    ),
)

NAMES = tuple(entry.name for entry in CATALOGUE)


def find(name: str, catalogue: tuple[Entry, ...] = CATALOGUE) -> Entry:
    """Raises UserError for a name that nothing has, with the nearest."""
    for entry in catalogue:
        if entry.name == name:
            return entry
    near = difflib.get_close_matches(name.lower(), [entry.name for entry in catalogue], 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise UserError(f"data set '{name}': not known; give one of {', '.join(one.name for one in catalogue)}{hint}")
