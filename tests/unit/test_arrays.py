"""Images in arrays: IDX, CIFAR, .npy and .npz."""

import ast
import gzip
import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gen_dist.errors import UserError
from gen_dist.kernels.limits import Limits
from gen_dist.sources.archive import open_archive
from gen_dist.sources.arrays import ArraySource
from gen_dist.sources.cifar_arrays import batches, cifar_in_archive, open_cifar
from gen_dist.sources.idx_arrays import image_files, open_idx
from gen_dist.sources.members import DamagedError
from gen_dist.sources.npy_arrays import choose_keys, open_npy, open_npz
from gen_dist.sources.npy_header import MAGIC, read_npy_header
from gen_dist.sources.source import RejectedError
from tests.mutations import mutated

RNG = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def saved(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def everything(source: ArraySource) -> list[tuple]:
    """(name, class, block, image) of all items; closes the source."""
    found = [(item.name, item.class_name, item.block, item.load()) for item in source.items()]
    assert len(found) == source.total
    assert source.rejected == ()
    source.close()
    return found


def images_of(source: ArraySource) -> np.ndarray:
    images = [image for *_, image in everything(source)]
    assert all(image.dtype == np.uint8 and image.flags.c_contiguous for image in images)
    return np.array(images)


def reason(source: ArraySource) -> str:
    """Of a source that is refused when it is asked for its total."""
    try:
        with pytest.raises(UserError) as refused:
            assert source.total
    finally:
        source.close()
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("SOURCE '")
    return str(refused.value)


# IDX


def mnist(folder: Path, packed: bool = False, labels: bool = True) -> dict[str, np.ndarray]:
    arrays = {"train": pixels(6, 5, 4), "t10k": pixels(3, 5, 4)}
    for block, array in arrays.items():
        files = {"images-idx3": array, "labels-idx1": np.arange(len(array)) * 7 % 10}
        for kind, values in list(files.items())[: 1 + labels]:
            data = gzip.compress(idx(values), mtime=0) if packed else idx(values)
            put(folder / f"{block}-{kind}-ubyte{'.gz' if packed else ''}", data)
    return arrays


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_mnist(tmp_path: Path, packed: bool) -> None:
    arrays = mnist(tmp_path, packed)
    source = open_idx(tmp_path)
    assert source.class_names == ("0", "1", "4", "5", "7", "8")  # those there are
    assert source.total_bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    found = everything(source)
    end = ".gz" if packed else ""
    assert [one[0] for one in found[4:8]] == [
        f"train-images-idx3-ubyte{end}[4]",
        f"train-images-idx3-ubyte{end}[5]",
        f"t10k-images-idx3-ubyte{end}[0]",
        f"t10k-images-idx3-ubyte{end}[1]",
    ]
    assert [one[1] for one in found] == ["0", "7", "4", "1", "8", "5", "0", "7", "4"]
    assert [one[2] for one in found] == ["train"] * 6 + ["t10k"] * 3
    due = np.concatenate([arrays["train"], arrays["t10k"]])[..., None]
    np.testing.assert_array_equal([one[3] for one in found], due)


def test_one_file_of_mnist_and_given_class_names(tmp_path: Path) -> None:
    arrays = mnist(tmp_path)
    names = [f"class {i}" for i in range(10)]
    source = open_idx(tmp_path / "t10k-images-idx3-ubyte", class_names=names)
    assert source.class_names == tuple(names)
    found = everything(source)
    assert [one[1:3] for one in found] == [("class 0", "t10k"), ("class 7", "t10k"), ("class 4", "t10k")]
    np.testing.assert_array_equal([one[3] for one in found], arrays["t10k"][..., None])
    assert "labels from 0 to 8, but 8 class names" in reason(open_idx(tmp_path, class_names=names[:8]))


def test_idx_without_labels(tmp_path: Path) -> None:
    mnist(tmp_path, labels=False)
    source = open_idx(tmp_path)
    assert source.class_names is None
    assert {one[1] for one in everything(source)} == {None}
    any_name = put(tmp_path / "other" / "faces", idx(pixels(2, 4, 5, 3)))
    assert images_of(open_idx(any_name)).shape == (2, 4, 5, 3)


def test_which_files_are_of_the_mnist_family(tmp_path: Path) -> None:
    for name in (
        "t10k-images-idx3-ubyte",
        "train-images-idx3-ubyte",
        "train-images-idx3-ubyte.gz",
        "emnist-letters-test-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte",
        "notes.txt",
    ):
        put(tmp_path / name, b"")
    assert [file.name for file in image_files(tmp_path)] == [
        "train-images-idx3-ubyte",
        "t10k-images-idx3-ubyte",
        "emnist-letters-test-images-idx3-ubyte.gz",
    ]


@pytest.mark.parametrize(
    ("images", "labels", "why"),
    [
        (b"", None, "does not begin as an IDX file"),
        (b"text", None, "does not begin as an IDX file"),
        (idx(pixels(3, 8, 8))[:-1], None, "192 values promised, 191 found"),
        (gzip.compress(idx(pixels(3, 8, 8)), mtime=0)[:-5], None, "cut short"),
        (idx(pixels(3)), None, "is 3, not n images of 1, 3 or 4 channels"),
        (idx(pixels(3, 3, 8, 8)), None, "is 3×3×8×8, channels first; save array.transpose(0, 2, 3, 1)"),
        (idx(pixels(3, 2, 8, 8)), None, "is 3×2×8×8, not n images"),
        (struct.pack(">HBB3I", 0, 8, 3, 0, 8, 8), None, "no images"),
        (struct.pack(">HBB3I", 0, 0x0D, 3, 1, 1, 1) + bytes(4), None, "an IDX file of float32"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 8, 8), None, "bytes of values: more than"),
        (idx(pixels(3, 8, 8)), idx(pixels(2)), "2 labels of uint8 for 3 images"),
        (idx(pixels(3, 8, 8)), idx(pixels(3, 8, 8)), "has 3 axes, labels have one"),
        (idx(pixels(3, 8, 8)), b"", "does not begin as an IDX file"),
    ],
)
def test_idx_that_is_refused(tmp_path: Path, images: bytes, labels: bytes | None, why: str) -> None:
    path = put(tmp_path / "train-images-idx3-ubyte", images)
    if labels is not None:
        put(tmp_path / "train-labels-idx1-ubyte", labels)
    assert why in reason(open_idx(path))


def test_idx_with_labels_of_one_half(tmp_path: Path) -> None:
    mnist(tmp_path)
    os.remove(tmp_path / "train-labels-idx1-ubyte")
    assert "'train-images-idx3-ubyte' has no labels, others have" in reason(open_idx(tmp_path))
    assert "more than" in reason(open_idx(tmp_path, limits=Limits(side=3)))
    assert "more than" in reason(open_idx(tmp_path, inflated_bytes=10))


def test_folders_without_arrays(tmp_path: Path) -> None:
    for opener in (open_idx, open_cifar):
        with pytest.raises(UserError, match="^X '.*': no (IDX images|file of CIFAR)[^\n]*; give [^\n]*$"):
            opener(tmp_path, "X")
    for opener in (open_idx, open_npy, open_npz):
        with pytest.raises(UserError, match="^X '.*': No such file or directory; give [^\n]*$"):
            opener(tmp_path / "nothing", "X")
    for opener in (open_npy, open_npz):
        with pytest.raises(UserError, match="not a regular file"):
            opener(tmp_path)


# CIFAR


def records(count: int, classes: int) -> tuple[np.ndarray, np.ndarray, bytes]:
    images, labels = pixels(count, 32, 32, 3), RNG.integers(0, classes, count)
    planes = images.transpose(0, 3, 1, 2).reshape(count, -1)
    first = [labels % 20] * (classes == 100)
    return images, labels, np.column_stack([*first, labels, planes]).astype(np.uint8).tobytes()


NAMES = [f"name {i}" for i in range(100)]


def cifar(folder: Path, classes: int) -> tuple[np.ndarray, list[str], list[str]]:
    """(images, class names, blocks) in their order; written to a folder."""
    files = {10: ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"], 100: ["train.bin", "test.bin"]}[classes]
    all_images, all_labels, blocks = [], [], []
    for file in files:
        images, labels, data = records(4, classes)
        put(folder / file, data)
        all_images.append(images)
        all_labels.append(labels)
        blocks += ["test" if "test" in file else "train"] * 4
    meta = {10: "batches.meta.txt", 100: "fine_label_names.txt"}[classes]
    put(folder / meta, "\n".join(NAMES[:classes]).encode() + b"\n\n")
    return np.concatenate(all_images), [NAMES[label] for label in np.concatenate(all_labels)], blocks


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz", "zip"])
def test_cifar(tmp_path: Path, classes: int, kind: str) -> None:
    folder = tmp_path / "cifar-batches-bin"
    images, names, blocks = cifar(folder, classes)
    if kind == "folder":
        source = open_cifar(folder)
    else:
        path = tmp_path / "archive"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for file in sorted(os.listdir(folder)):
                    archive.write(folder / file, f"cifar-batches-bin/{file}")
        else:
            with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
                tar.add(folder, "cifar-batches-bin")
        held = open_archive(path, 1 << 20)
        found_in = cifar_in_archive(held, path)
        assert found_in is not None
        source = found_in
        assert source.class_names is not None
        held.close()
    assert source.class_names == tuple(NAMES[:classes])
    found = everything(source)
    assert found[0][0] == {10: "data_batch_1.bin[0]", 100: "train.bin[0]"}[classes]
    assert [one[1] for one in found] == names
    assert [one[2] for one in found] == blocks
    np.testing.assert_array_equal([one[3] for one in found], images)


def test_one_file_of_cifar_without_names(tmp_path: Path) -> None:
    images, names, _ = cifar(tmp_path, 10)
    os.remove(tmp_path / "batches.meta.txt")
    found = everything(open_cifar(tmp_path / "data_batch_2.bin"))
    assert [f"name {one[1]}" for one in found] == names[4:8]
    np.testing.assert_array_equal([one[3] for one in found], images[4:8])


def test_other_archives_are_not_cifar(tmp_path: Path) -> None:
    for members in (["1.png"], ["a/data_batch_1.bin", "b/data_batch_2.bin"]):
        with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
            for member in members:
                archive.writestr(member, b"x")
        held = open_archive(tmp_path / "archive", 1 << 20)
        assert cifar_in_archive(held, tmp_path / "archive") is None
        held.close()


def test_order_of_batches() -> None:
    assert batches(["x", "test_batch.bin", "data_batch_2.bin", "data_batch_1.bin", "data_batch_1.bin.gz"]) == [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "test_batch.bin",
    ]


@pytest.mark.parametrize(
    ("file", "data", "why"),
    [
        ("data_batch_2.bin", b"", "'data_batch_2.bin': 0 bytes: not a multiple of the 3073"),
        ("data_batch_2.bin", bytes(3074), "3074 bytes: not a multiple of the 3073"),
        ("data_batch_2.bin", b"\x0a" + bytes(3072), "label 10 in a file of 10 classes"),
        ("train.bin", bytes(3074), "files of CIFAR-10 and CIFAR-100 side by side"),
        ("batches.meta.txt", b"one\ntwo", "'batches.meta.txt': 2 names of classes, 10 are due"),
        ("batches.meta.txt", b"same\n" * 10, "'batches.meta.txt': 1 names of classes, 10 are due"),
    ],
)
def test_cifar_that_is_refused(tmp_path: Path, file: str, data: bytes, why: str) -> None:
    cifar(tmp_path, 10)
    put(tmp_path / file, data)
    assert why in reason(open_cifar(tmp_path))


# .npy


@pytest.mark.parametrize("shape", [(3, 5, 6), (3, 5, 6, 1), (3, 6, 5, 3), (2, 5, 5, 4), (3, 3, 8, 3), (1, 1, 1, 1)])
def test_npy_of_bytes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = pixels(*shape)
    path = put(tmp_path / "faces.npy", saved(array))
    np.testing.assert_array_equal(images_of(open_npy(path)), array if len(shape) == 4 else array[..., None])
    source = open_npy(path)
    first = next(source.items())
    assert (first.name, first.class_name, first.block) == ("faces.npy[0]", None, "")
    assert source.class_names is None
    source.close()


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_npy_of_floats(tmp_path: Path, dtype: str) -> None:
    array = (pixels(6, 4, 5, 3) / 255).astype(dtype)
    array[1, 0, 0, 0], array[2, 0, 0, 0], array[3, 1, 1, 1] = np.nan, 1.25, -0.5
    array[4] = np.inf
    source = open_npy(put(tmp_path / "a.npy", saved(array)))
    results = []
    for item in source.items():
        try:
            results.append(item.load())
        except RejectedError as error:
            results.append(str(error))
    source.close()
    for i in (0, 5):
        np.testing.assert_array_equal(results[i], np.rint(array[i].astype(np.float64) * 255))
    assert results[1] == results[4] == "not all values are finite"
    assert results[2].endswith("to 1.25; floats must be from 0 to 1")
    assert results[3].startswith("values from -0.5 to ")


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (pixels(3, 3, 8, 8), "the array is 3×3×8×8, channels first; save array.transpose(0, 2, 3, 1) instead"),
        (pixels(3, 1, 8, 8), "channels first"),
        (pixels(8, 8, 3), "the array is 8×8×3, one image or many grey ones; save array[None] or array[..., None]"),
        (pixels(8, 8), "the array is 8×8, not n images"),
        (pixels(8, 8, 8, 5), "the array is 8×8×8×5, not n images"),
        (np.uint8(3), "the array is one number, not n images"),
        (pixels(8, 8, 8).astype(np.int16), "the array holds int16; uint8 and floats from 0 to 1 are read"),
        (pixels(8, 8, 8) > 3, "the array holds bool"),
        (np.asfortranarray(pixels(8, 8, 8)), "in Fortran order; save np.ascontiguousarray(array) instead"),
        (pixels(0, 8, 8), "is empty"),
        (np.zeros((2, 8, 8), complex), "an array of type <c16; integers and floats are read"),
        (np.zeros((2, 8, 8), "U5"), "an array of type <U5"),
        (np.zeros((2, 8, 8), "u1,u1"), "which is no plain array of numbers"),
        (pixels(1, 8, 70_000), "a side of more than 65500"),
    ],
)
def test_npy_that_is_refused(tmp_path: Path, array: np.ndarray, why: str) -> None:
    assert why in reason(open_npy(put(tmp_path / "a.npy", saved(array))))


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    held = io.BytesIO()
    np.save(held, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    path = put(tmp_path / "a.npy", held.getvalue())
    assert "an array of type |O; integers and floats are read" in reason(open_npy(path))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", held.getvalue())
    assert "an array of type |O" in reason(open_npz(tmp_path / "a.npz"))


def headed(text: str, version: int = 1, more: bytes = b"") -> bytes:
    return MAGIC + bytes([version, 0]) + len(text).to_bytes(2 if version == 1 else 4, "little") + text.encode() + more


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8), }"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (GOOD, (2, 8, 8)),
        ("{'shape':(2,8,8),'fortran_order':False,'descr':'u1'}\n", (2, 8, 8)),
        ('{"descr": "<f4", "fortran_order": False, "shape": (2,)}   \n', (2,)),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", (2,)),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", ()),
    ],
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_headers(text: str, shape: tuple[int, ...], version: int) -> None:
    header = read_npy_header(headed(text, version, b"more"))
    assert header.shape == shape == ast.literal_eval(text.strip())["shape"]
    assert header.dtype == np.dtype(ast.literal_eval(text.strip())["descr"])
    assert header.offset == len(headed(text, version))
    assert not header.fortran


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not begin"),
        (b"\x93NUMPY\1", "does not begin"),
        (headed(GOOD, 4), "format 4"),
        (headed(GOOD)[:40], "cut short in its header"),
        (MAGIC + b"\2\0\xff\xff\xff\xff", "a header of 4294967307 bytes"),
        (headed(GOOD.replace("(2, 8, 8)", "(2, -8, 8)")), "no plain array"),
        (headed(GOOD.replace("(2, 8, 8)", "(2, , 8)")), "no valid shape"),
        (headed(GOOD.replace("(2, 8, 8)", f"({'9' * 30},)")), "no valid shape"),
        (headed(GOOD.replace("(2, 8, 8)", "(1," * 1 + "1," * 40 + ")")), "no valid shape"),
        (headed(GOOD.replace("(2, 8, 8)", "(2, 8 8)")), "no valid shape"),
        (headed(GOOD.replace("'|u1'", "[('a', '|u1')]")), "no plain array"),
        (headed(GOOD.replace("False", "os.system('x')")), "no plain array"),
        (headed(GOOD.replace("'descr': '|u1', ", "")), "no plain array"),
        (headed(GOOD + "; import os"), "no plain array"),
        (headed(GOOD[:-1]), "no plain array"),
        (headed("{" * 5000), "no plain array"),
        (headed("{" + "'descr': '|u1'" * 500 + "}"), "no plain array"),
        (headed(GOOD.replace("|u1", "|u3")), "an array of type |u3"),
        (headed(GOOD.replace("|u1", "<f16")), "an array of type <f16"),
    ],
)
def test_headers_that_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(DamagedError, match=why.replace("|", "[|]")):
        read_npy_header(data)


def test_npy_of_another_length(tmp_path: Path) -> None:
    data = saved(pixels(3, 8, 8))
    for other in (data[:-1], data + b"x", headed(GOOD.replace("(2,", f"({10**17},"))):
        assert "are due; it was cut short or changed" in reason(open_npy(put(tmp_path / "a.npy", other)))


def test_npy_cut_short_while_it_is_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.npy", saved(pixels(3, 8, 8)))
    source = open_npy(path)
    first, _, last = source.items()
    os.truncate(path, 128 + 64)
    assert first.load().shape == (8, 8, 1)
    with pytest.raises(RejectedError, match="cut short"):
        last.load()
    source.close()


MEASURE = """
import resource, sys
from pathlib import Path
from gen_dist.sources.npy_arrays import open_npy
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
source = open_npy(Path(sys.argv[1]))
assert next(source.items()).load().shape == (8, 8, 3)
before = peak()
assert sum(item.load().nbytes for item in source.items()) == source.total * 192
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    path = tmp_path / "many.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (200_000, 8, 8, 3)).flush()  # 38 MB
    grown = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    assert float(grown.stdout) < 8


# .npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("key", ["images", "x", "x_train", "arr_0", "the_only_one"])
@pytest.mark.parametrize("label_key", ["labels", "y", "y_train", None])
def test_npz(tmp_path: Path, save, key: str, label_key: str | None) -> None:
    images, labels = pixels(4, 8, 9, 3), np.array([5, -1, 5, 300])
    arrays = {key: images, "other": np.arange(3)} | ({label_key: labels} if label_key else {})
    save(tmp_path / "a.npz", **arrays)
    source = open_npz(tmp_path / "a.npz")
    assert source.class_names == (("-1", "5", "300") if label_key else None)
    found = everything(source)
    assert [one[0] for one in found] == [f"a.npz/{key}[{i}]" for i in range(4)]
    assert [one[1] for one in found] == (["5", "-1", "5", "300"] if label_key else [None] * 4)
    np.testing.assert_array_equal([one[3] for one in found], images)


def test_npz_as_keras_saves_mnist(tmp_path: Path) -> None:
    train, test = pixels(4, 8, 8), pixels(2, 8, 8)
    labels = {"y_train": np.arange(4)[:, None], "y_test": np.array([9, 0], np.uint8)}
    np.savez_compressed(tmp_path / "a.npz", x_train=train, x_test=test, **labels)
    source = open_npz(tmp_path / "a.npz")
    assert source.class_names == ("0", "1", "2", "3", "9")
    found = everything(source)
    assert [one[1:3] for one in found] == [(str(i), "train") for i in range(4)] + [("9", "test"), ("0", "test")]
    np.testing.assert_array_equal([one[3] for one in found], np.concatenate([train, test])[..., None])


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"a": pixels(2, 8, 8), "b": pixels(2, 8, 8)}, "which array holds the images (a 2×8×8, b 2×8×8); call them"),
        ({"images": pixels(2, 8, 8), "x": pixels(2, 8, 8)}, "which array holds the images (images 2×8×8, x 2×8×8)"),
        ({"a": pixels(2, 8)}, "which array holds the images (a 2×8)"),
        (
            {"images": pixels(2, 8, 8), "y": pixels(2), "labels": pixels(2)},
            "which array holds the labels (images 2×8×8, labels 2, y 2)",
        ),
        ({"images": pixels(2, 8, 8), "y": pixels(3)}, "'y': 3 labels of uint8 for 2 images"),
        ({"images": pixels(2, 8, 8), "y": np.zeros(2)}, "'y': 2 labels of float64 for 2 images"),
        ({"images": pixels(2, 8, 8), "y": np.array([1, 2**63], np.uint64)}, "'y': a label of 9223372036854775808"),
        ({"images": pixels(2, 8, 8), "y": pixels(0)}, "'y' is empty"),
        ({"images": pixels(2, 3, 8, 8)}, "'images' is 2×3×8×8, channels first"),
        ({"x_train": pixels(2, 8, 8), "x_test": pixels(1, 8, 8), "y_train": pixels(2)}, "'a.npz/x_test' has no labels"),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_that_is_refused(tmp_path: Path, save, arrays: dict, why: str) -> None:
    save(tmp_path / "a.npz", **arrays)
    assert why in reason(open_npz(tmp_path / "a.npz"))


def test_npz_that_inflates_to_much(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((100, 80, 80), np.uint8))
    assert "'images' has 640128 bytes, more than 1000" in reason(open_npz(tmp_path / "a.npz", inflated_bytes=1000))
    np.savez(tmp_path / "a.npz", images=np.zeros((100, 80, 80), np.uint8))
    assert images_of(open_npz(tmp_path / "a.npz", inflated_bytes=1000)).shape == (100, 80, 80, 1)


def test_npz_with_nothing_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("1.png", b"x")
    assert "which array holds the images (none)" in reason(open_npz(tmp_path / "a.npz"))
    assert "the end of a zip, is missing" in reason(open_npz(put(tmp_path / "a.npz", b"PK\3\4")))


def test_choice_of_keys() -> None:
    assert choose_keys({"images": (2, 3), "labels": (2,)}) == [("images", "labels", "")]  # to be refused for its shape
    assert choose_keys({"a": (2,), "b": (2, 8, 8)}) == [("b", None, "")]
    assert choose_keys({"x_test": (2, 8, 8), "y_test": (2,)}) == [("x_test", None, "")]


def test_stamps_follow_the_files(tmp_path: Path) -> None:
    mnist(tmp_path)
    stamps = {open_idx(tmp_path).stamp(), open_idx(tmp_path).stamp()}
    for file in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        os.utime(tmp_path / file, ns=(1, 1))
        stamps.add(open_idx(tmp_path).stamp())
    assert len(stamps) == 3


# Hostile bytes


def fuzz_seeds() -> list[tuple]:
    """(opener, file's name, content)."""
    npz, packed = io.BytesIO(), io.BytesIO()
    np.savez(npz, images=pixels(2, 4, 5), labels=np.arange(2))
    np.savez_compressed(packed, x_train=pixels(2, 4, 5) / 255, x_test=pixels(1, 4, 5))
    return [
        (open_idx, "train-images-idx3-ubyte", idx(pixels(2, 4, 5))),
        (open_idx, "images.gz", gzip.compress(idx(pixels(2, 4, 5, 3)), mtime=0)),
        (open_cifar, "data_batch_1.bin", records(2, 10)[2]),
        (open_cifar, "test.bin", records(2, 100)[2]),
        (open_npy, "a.npy", saved(pixels(2, 4, 5, 3))),
        (open_npy, "b.npy", saved(pixels(3, 4, 5) / 255)),
        (open_npz, "a.npz", npz.getvalue()),
        (open_npz, "b.npz", packed.getvalue()),
    ]


def try_arrays(opener, path: Path) -> bool:
    """Whether an image could be read."""
    source, read = opener(path), 0
    try:
        for item in source.items():
            try:
                read += item.load().dtype == np.uint8
            except RejectedError:
                continue
    except UserError:
        return False
    finally:
        source.close()
    return read > 0


def fuzz(folder: Path, cases: int, seed: int) -> int:
    draw, seeds, read = random.Random(seed), fuzz_seeds(), 0
    put(folder / "train-labels-idx1-ubyte", idx(np.arange(2)))
    for _ in range(cases):
        opener, name, data = draw.choice(seeds)
        changed = data if draw.random() < 0.05 else mutated(data, draw)
        if draw.random() < 0.5:  # of the same length, or most would be refused for it
            changed = changed[: len(data)].ljust(len(data), b"\0")
        read += try_arrays(opener, put(folder / name, changed))
    return read


def test_damaged_arrays_end_in_a_reason(tmp_path: Path) -> None:
    for opener, name, data in fuzz_seeds():
        assert try_arrays(opener, put(tmp_path / "good" / name, data)), name
    assert 300 < fuzz(tmp_path, 3000, 0) < 2900
