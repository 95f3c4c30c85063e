"""Inception's features: against the definition layer by layer, its file refused where it is another, its converter."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from gen_dist.errors import UserError
from gen_dist.scores.inception import FEATURES, inception_features, load_inception
from tests.command import ROOT
from tests.hostile_tensors import hostile_tensors
from tests.inception_file import noise_weights, write_noise_weights

CONVERTER = ROOT / "build_tools" / "inception.py"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return write_noise_weights(tmp_path_factory.mktemp("inception") / "noise.safetensors")


@pytest.fixture(scope="module")
def inception(file):
    return load_inception(file)


def images(count: int, size: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


class Naive:
    """The network once more, written down as its blocks are drawn in the paper, with its batch norms."""

    def __init__(self, tensors):
        self.tensors = tensors

    def at(self, name, x, stride=1, padding=0):
        get = lambda part: self.tensors[f"{name}.{part}"]  # noqa: E731
        x = F.conv2d(x, get("conv.weight"), None, stride, padding)
        norm = [get(f"bn.{part}") for part in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *norm, eps=1e-3))

    def chain(self, block, x, *steps):
        for name, padding in steps:
            x = self.at(f"{block}.{name}", x, padding=padding)
        return x

    def mean(self, x):
        around = F.pad(torch.ones_like(x[:1, :1]), (1, 1, 1, 1))
        total = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 1) * 9
        return total / (F.avg_pool2d(around, 3, 1) * 9)

    def of_35(self, b, x):
        return torch.cat([
            self.chain(b, x, ("branch1x1", 0)),
            self.chain(b, x, ("branch5x5_1", 0), ("branch5x5_2", 2)),
            self.chain(b, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1), ("branch3x3dbl_3", 1)),
            self.chain(b, self.mean(x), ("branch_pool", 0)),
        ], 1)  # fmt: skip

    def of_17(self, b, x):
        line, column = (0, 3), (3, 0)
        return torch.cat([
            self.chain(b, x, ("branch1x1", 0)),
            self.chain(b, x, ("branch7x7_1", 0), ("branch7x7_2", line), ("branch7x7_3", column)),
            self.chain(b, x, ("branch7x7dbl_1", 0), ("branch7x7dbl_2", column), ("branch7x7dbl_3", line),
                       ("branch7x7dbl_4", column), ("branch7x7dbl_5", line)),
            self.chain(b, self.mean(x), ("branch_pool", 0)),
        ], 1)  # fmt: skip

    def of_8(self, b, x, pooled):
        wide = self.chain(b, x, ("branch3x3_1", 0))
        deep = self.chain(b, x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
        return torch.cat([
            self.chain(b, x, ("branch1x1", 0)),
            self.chain(b, wide, ("branch3x3_2a", (0, 1))), self.chain(b, wide, ("branch3x3_2b", (1, 0))),
            self.chain(b, deep, ("branch3x3dbl_3a", (0, 1))), self.chain(b, deep, ("branch3x3dbl_3b", (1, 0))),
            self.chain(b, pooled, ("branch_pool", 0)),
        ], 1)  # fmt: skip

    def __call__(self, x):
        x = self.at("Conv2d_1a_3x3", x, 2)
        x = F.max_pool2d(self.at("Conv2d_2b_3x3", self.at("Conv2d_2a_3x3", x), padding=1), 3, 2)
        x = F.max_pool2d(self.at("Conv2d_4a_3x3", self.at("Conv2d_3b_1x1", x)), 3, 2)
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self.of_35(name, x)
        deep = self.chain("Mixed_6a", x, ("branch3x3dbl_1", 0), ("branch3x3dbl_2", 1))
        x = torch.cat([self.at("Mixed_6a.branch3x3", x, 2), self.at("Mixed_6a.branch3x3dbl_3", deep, 2),
                       F.max_pool2d(x, 3, 2)], 1)  # fmt: skip
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.of_17(name, x)
        wide = self.chain("Mixed_7a", x, ("branch3x3_1", 0))
        deep = self.chain("Mixed_7a", x, ("branch7x7x3_1", 0), ("branch7x7x3_2", (0, 3)), ("branch7x7x3_3", (3, 0)))
        x = torch.cat([self.at("Mixed_7a.branch3x3_2", wide, 2), self.at("Mixed_7a.branch7x7x3_4", deep, 2),
                       F.max_pool2d(x, 3, 2)], 1)  # fmt: skip
        x = self.of_8("Mixed_7b", x, self.mean(x))
        x = self.of_8("Mixed_7c", x, F.max_pool2d(x, 3, 1, 1))
        return x.mean(dim=(2, 3))


def enlarged(images):
    """To 299 pixels: each of the result looks between its place's two neighbours, rows and columns; one by one."""
    size = images.shape[1]
    found = np.empty((len(images), 299, 299, 3))
    for y in range(299):
        for x in range(299):
            (top, down), (left, right) = divmod(y * size / 299, 1), divmod(x * size / 299, 1)
            rows, columns = ([int(low), min(int(low) + 1, size - 1)] for low in (top, left))
            corners = images[:, rows][:, :, columns].astype(np.float64)
            found[:, y, x] = np.einsum("nyxc,y,x->nc", corners, [1 - down, down], [1 - right, right])
    return found


@pytest.mark.parametrize("size", [32, 299, 320])
def test_features_are_those_of_the_definition(size, inception):
    given = images(2, size)
    found = inception_features(inception, given)
    seen = torch.from_numpy((enlarged(given).transpose(0, 3, 1, 2) - 128) / 128).float()
    wanted = Naive(noise_weights())(seen).numpy()
    assert found.shape == wanted.shape == (2, FEATURES)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(found, wanted, atol=2e-4 * wanted.max())


def test_a_gray_image_is_one_of_three_equal_channels(inception):
    gray = images(1, 16, channels=1)
    assert np.array_equal(inception_features(inception, gray), inception_features(inception, np.repeat(gray, 3, 3)))


def without(tensors, name):
    return {key: tensor for key, tensor in tensors.items() if key != name}


FIRST = "Conv2d_1a_3x3.conv.weight"
NORM = "Mixed_5b.branch1x1.bn.running_var"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda all_: without(all_, NORM), f"has no tensor '{NORM}'"),
        (lambda all_: all_ | {"fc.weight": torch.zeros(1)}, "has an unknown tensor 'fc.weight'"),
        (lambda all_: all_ | {FIRST: torch.zeros(32, 3, 3)}, f"tensor '{FIRST}' is torch.float32 [32, 3, 3], not"),
        (lambda all_: all_ | {FIRST: all_[FIRST].half()}, f"tensor '{FIRST}' is torch.float16"),
        (lambda all_: all_ | {FIRST: all_[FIRST] * float("nan")}, f"tensor '{FIRST}' has values that it cannot have"),
        (lambda all_: all_ | {NORM: -all_[NORM]}, f"tensor '{NORM}' has values that it cannot have"),
    ],
)
def test_weights_of_something_else(change, told, tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(change(noise_weights()), path)
    with pytest.raises(
        UserError, match="build_tools/inception.py of gen-dist.s source makes one of the usual weights file"
    ) as caught:
        load_inception(path)
    assert f"inception '{path}': {told}" in str(caught.value)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "weights.pth"
    for content in (b"", b"\x80\x02}q\x00.", b"\xff" * 100, *hostile_tensors()):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is no safetensors file, or damaged"):
            load_inception(path)
    with pytest.raises(UserError, match=r"cannot be read \(No such file or directory\)"):
        load_inception(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        load_inception(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UserError, match="is no file"):
            load_inception(special)
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # without blocks
    with pytest.raises(UserError, match="has more than"):
        load_inception(path)


def test_weights_with_which_features_overflow(tmp_path):
    save_file({name: tensor * 1e30 for name, tensor in noise_weights().items()}, tmp_path / "large.safetensors")
    with pytest.raises(UserError, match="its features are not finite"):
        inception_features(load_inception(tmp_path / "large.safetensors"), images(1, 16))


def convert(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CONVERTER, *map(str, arguments)], capture_output=True, text=True)


def test_the_converter_refuses_another_file(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    for name, told in (("other.pth", "its SHA-256 is"), ("nothing.pth", "No such file or directory")):
        done = convert(tmp_path / name, tmp_path / "out.safetensors")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert told in done.stderr
    assert convert().returncode == 2
    assert not (tmp_path / "out.safetensors").exists()


def test_what_the_converter_makes_is_taken(tmp_path, inception):
    """From a file as others give it, but for its checksum: with classes and counts of batches."""
    usual = noise_weights() | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    norms = [name.removesuffix("weight") for name in usual if "bn.weight" in name]
    usual |= {f"{norm}num_batches_tracked": torch.tensor(0) for norm in norms}
    torch.save(usual, tmp_path / "usual.pth")
    converter = runpy.run_path(str(CONVERTER))
    assert converter["convert"](tmp_path / "usual.pth", tmp_path / "out.safetensors", checksum="") == 0
    given = images(1, 20)
    assert np.array_equal(inception_features(load_inception(tmp_path / "out.safetensors"), given),
                          inception_features(inception, given))  # fmt: skip
