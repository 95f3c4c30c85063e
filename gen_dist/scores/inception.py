"""Features of Inception-v3, on which the Fréchet and the kernel distance are FID and KID.

Its weights are the user's to bring: `build_tools/inception.py` makes the file out of the one that others download.

Shapes: n or N images of H x W pixels and C channels, 2048 features.
"""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.errors import UserError
from gen_dist.scores.inception_layers import STEM, Branch, Layer, mixed_blocks
from gen_dist.scores.inputs import blocks, check_images

SIDE, FEATURES = 299, 2048  # pixels that it looks at; what it says of them
MOST_BYTES = 1 << 28  # of a file of weights: the real one has 87 MB
EPSILON = 1e-3  # of the batch norms
AT_ONCE = 16  # images
NORM = ("weight", "bias", "running_mean", "running_var")
ADVICE = "build_tools/inception.py of gen-dist's source makes one of the usual weights file"


class Convolution(nn.Module):
    """With ReLU, and with its batch norm folded in."""

    def __init__(self, inputs: int, layer: Layer) -> None:
        super().__init__()
        height, width = layer.kernel
        padding = (height // 2, width // 2) if layer.padded else (0, 0)
        self.conv = nn.Conv2d(inputs, layer.width, layer.kernel, layer.stride, padding)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.relu(self.conv(x_NCHW), inplace=True)


class Mixed(nn.Module):
    """Branches of one input, whose outputs follow each other in the channels."""

    def __init__(self, inputs: int, branches: Sequence[Branch]) -> None:
        super().__init__()
        self._branches = branches
        self.width = sum(add_layers(self, inputs, branch) for branch in branches)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return torch.cat([follow(self, x_NCHW, branch) for branch in self._branches], dim=1)


class Inception(nn.Module):
    """Images (N, 3, 299, 299) in [-1, 1] to features (N, 2048). `fingerprint`: of the file of its weights."""

    def __init__(self, fingerprint: str = "") -> None:
        super().__init__()
        self.fingerprint = fingerprint
        width = add_layers(self, 3, STEM)
        mixed = []
        for name, branches in mixed_blocks().items():
            block = Mixed(width, branches)
            self.add_module(name, block)
            mixed.append(block)
            width = block.width
        self._mixed = tuple(mixed)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = follow(self, x_NCHW, STEM)
        for block in self._mixed:
            x_NCHW = block(x_NCHW)
        return x_NCHW.mean(dim=(2, 3))


def add_layers(module: nn.Module, inputs: int, branch: Branch) -> int:
    """Returns the channels that come out."""
    for step in branch:
        layers = layers_of(step)
        for layer in layers:
            module.add_module(layer.name, Convolution(inputs, layer))
        inputs = sum(layer.width for layer in layers) or inputs
    return inputs


def follow(module: nn.Module, x_NCHW: Tensor, branch: Branch) -> Tensor:
    for step in branch:
        if isinstance(step, str):
            x_NCHW = pool(step, x_NCHW)
        else:
            found = [module.get_submodule(layer.name)(x_NCHW) for layer in layers_of(step)]
            x_NCHW = found[0] if len(found) == 1 else torch.cat(found, dim=1)
    return x_NCHW


def layers_of(step: Layer | str | tuple[Layer, ...]) -> tuple[Layer, ...]:
    if isinstance(step, str):
        return ()
    return (step,) if isinstance(step, Layer) else step


def pool(name: str, x_NCHW: Tensor) -> Tensor:
    if name == "mean":
        return F.avg_pool2d(x_NCHW, 3, stride=1, padding=1, count_include_pad=False)
    return F.max_pool2d(x_NCHW, 3, stride=2) if name == "reduce" else F.max_pool2d(x_NCHW, 3, stride=1, padding=1)


@torch.no_grad()
def inception_features(inception: Inception, images: np.ndarray) -> np.ndarray:
    """Of uint8 images (n, H, W, C), gray ones in three equal channels: float32 (n, 2048).

    Raises:
        ValueError: other arrays.
        UserError: weights with which features overflow.
    """
    check_images("images", images)
    return np.concatenate([_features(inception, images[some]) for some in blocks(len(images), AT_ONCE)])


def _features(inception: Inception, images: np.ndarray) -> np.ndarray:
    found = inception(_looked_at(images)).numpy()
    if not np.isfinite(found).all():
        raise UserError(f"inception: its features are not finite: these are not its weights; {ADVICE}")
    return found


def _looked_at(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, C) as (N, 3, 299, 299) in [-1, 1]: enlarged or reduced as TensorFlow 1 did it, channels_last.

    That takes the corner of a pixel for its place, and does not smooth what it reduces; the network's weights, and the
    distances of the literature, know images in this way.
    """
    x_NCHW = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
    x_NCHW = _interpolated(_interpolated(x_NCHW, 3), 2)
    x_NCHW = ((x_NCHW - 128) / 128).expand(-1, 3, -1, -1)
    return x_NCHW.contiguous(memory_format=torch.channels_last)


def _interpolated(x_NCHW: Tensor, dim: int) -> Tensor:
    """To 299 pixels along a dimension, linearly."""
    size = x_NCHW.shape[dim]
    places = torch.arange(SIDE, dtype=torch.float32) * torch.tensor(size / SIDE, dtype=torch.float32)
    low = places.long().clamp(max=size - 1)
    share = (places - low).reshape(-1, *[1] * (3 - dim))
    return torch.lerp(x_NCHW.index_select(dim, low), x_NCHW.index_select(dim, (low + 1).clamp(max=size - 1)), share)


def load_inception(path: Path) -> Inception:
    """The network with the weights of a safetensors file, in eval mode.

    Raises:
        UserError: no file, or one that is damaged or of another network.
    """
    content = read_bounded(path)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
        told = " ".join(str(error).split())[:100]
        raise UserError(f"inception '{path}': is no safetensors file, or damaged ({told}); {ADVICE}") from None
    with torch.device("meta"):
        inception = Inception(hashlib.sha256(content).hexdigest()[:12])
    check_file(path, tensors, expected_shapes(inception))
    inception.load_state_dict(folded(inception, tensors), assign=True)
    return inception.to(memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]


def read_bounded(path: Path) -> bytes:
    """Raises UserError for what is no file, or one that is too large."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe's writer is not waited for
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UserError(f"inception '{path}': is no file; {ADVICE}")
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"inception '{path}': cannot be read ({error.strerror}); name another file") from None
    if len(content) > MOST_BYTES:
        raise UserError(f"inception '{path}': has more than {MOST_BYTES:,} bytes; {ADVICE}")
    return content


def convolutions(inception: Inception) -> dict[str, nn.Conv2d]:
    """By the names of `Convolution`s."""
    return {name: module.conv for name, module in inception.named_modules() if isinstance(module, Convolution)}


def expected_shapes(inception: Inception) -> dict[str, list[int]]:
    """Of the tensors in a file."""
    shapes = {}
    for name, conv in convolutions(inception).items():
        shapes[f"{name}.conv.weight"] = list(conv.weight.shape)
        shapes |= {f"{name}.bn.{part}": [conv.out_channels] for part in NORM}
    return shapes


def check_file(path: Path, tensors: Mapping[str, Tensor], shapes: Mapping[str, list[int]]) -> None:
    """Raises UserError, naming the first tensor that is not as expected."""
    for name in sorted(tensors.keys() ^ shapes.keys()):
        where = "has no" if name in shapes else "has an unknown"
        raise UserError(f"inception '{path}': {where} tensor '{name}'; {ADVICE}")
    for name, shape in shapes.items():
        found = tensors[name]
        if list(found.shape) != shape or found.dtype != torch.float32:
            told = f"is {found.dtype} {list(found.shape)}, not torch.float32 {shape}"
            raise UserError(f"inception '{path}': tensor '{name}' {told}; {ADVICE}")
        if not found.isfinite().all() or (name.endswith("running_var") and bool((found < 0).any())):
            raise UserError(f"inception '{path}': tensor '{name}' has values that it cannot have; {ADVICE}")


def folded(inception: Inception, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Batch norms in eval mode are one product and one sum a channel, which the convolution before can do."""
    found = {}
    for name in convolutions(inception):
        scale, shift, mean, variance = (tensors[f"{name}.bn.{part}"].double() for part in NORM)
        scale = scale / (variance + EPSILON).sqrt()
        weight = tensors[f"{name}.conv.weight"].double()
        found[f"{name}.conv.weight"] = (weight * scale[:, None, None, None]).float()
        found[f"{name}.conv.bias"] = (shift - mean * scale).float()
    return found
