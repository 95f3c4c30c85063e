"""A small classifier, trained here on a labelled pack: its features stand in for Inception's, which need a download.

A network of the LeNet-5 kind (LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document
recognition", 1998) with ReLU and maximum pooling. Scores on its features are named after it (KD-lenet, FD-lenet): they
compare with each other under one classifier only, whose fingerprint belongs beside them.

Shapes: n or N images of H x W x C, 84 features.
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from gen_dist.atomic import write_atomic
from gen_dist.data.stream import Stream
from gen_dist.draws import Draws
from gen_dist.errors import UserError
from gen_dist.models.initialise import initialise
from gen_dist.scores.inputs import blocks, check_images

FEATURES = 84
LEAST_SIZE, MOST_SIZE, MOST_CLASSES = 8, 1024, 100_000  # pixels a side; what a file may ask memory for

_WIDTHS, _HIDDEN = (8, 16, 32), 120
_POOLED = 8  # pixels a side, at most, before the linear layers
_BLOCK = 256  # images at once
_SCALE_IMAGES = 2048  # that the scale of features is taken from, at most


class LeNet(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to the logits of the classes (N, classes).

    Convolutions of 5 x 5 pixels, each halving the size, until 8 x 8 or less are left (two for 28 and 32 pixels, three
    for 64); then 120, 84 and the classes' units. Of larger images, the last convolution's output is averaged to 8 x 8.
    """

    about: Tensor
    unit: Tensor

    def __init__(self, height: int, width: int, channels: int, classes: int) -> None:
        super().__init__()
        # In the state, so that a file of weights says which network it is of.
        self.register_buffer("about", torch.tensor([height, width, channels, classes], device="cpu"))
        self.register_buffer("unit", torch.ones((), device="cpu"))
        layers: list[nn.Module] = []
        before, size = channels, (height, width)
        for after in _WIDTHS:
            if max(size) > _POOLED:
                layers += [nn.Conv2d(before, after, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
                before, size = after, (size[0] // 2, size[1] // 2)
        pooled = (min(size[0], _POOLED), min(size[1], _POOLED))
        layers += [nn.AdaptiveAvgPool2d(pooled), nn.Flatten()]
        layers += [
            nn.Linear(before * pooled[0] * pooled[1], _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, FEATURES),
            nn.ReLU(),
        ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        height, width, channels, _ = self.about.tolist()
        return height, width, channels

    def features(self, x_NCHW: Tensor) -> Tensor:
        """The last layer's input, (N, 84), in units of its root mean square over training images.

        That unit makes a kernel that is no power, as (x y / D + 1)^3, mean the same whatever scale training ended at.
        """
        return self.body(x_NCHW) / self.unit

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.head(self.body(x_NCHW))


def train_lenet(
    images: np.ndarray,
    labels: np.ndarray,
    draws: Draws,
    *,
    steps: int = 800,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
) -> LeNet:
    """A classifier of these images, in eval mode, on the CPU: Adam on the cross-entropy, at a rate that falls to 0.

    Its weights depend on images, labels, the seed of `draws` and the settings; in their last bits also on the number of
    torch's threads, which is the caller's to set.

    Args:
        images: uint8 (n, H, W, C), C 1 or 3, 8 to 1024 pixels a side; given once a pass, in random order.
        labels: integers (n,), 0 to classes - 1.

    Raises ValueError for other arrays, a single class, and settings that are not positive.
    """
    check_images("images", images)
    if not LEAST_SIZE <= min(images.shape[1:3]) <= max(images.shape[1:3]) <= MOST_SIZE:
        raise ValueError(f"images {images.shape[1:3]}: a lenet wants {LEAST_SIZE} to {MOST_SIZE} pixels a side")
    if steps < 1 or batch_size < 1 or not learning_rate > 0:
        raise ValueError(f"steps {steps}, batch_size {batch_size}, learning_rate {learning_rate}: must be positive")
    targets = _targets(labels, len(images))
    lenet = _initialised((*images.shape[1:], int(targets.max()) + 1), draws)
    adam = torch.optim.Adam(lenet.parameters(), lr=learning_rate)
    stream = Stream(draws.seed, len(images))
    for step in range(steps):
        chosen = stream.indices(np.arange(step * batch_size, (step + 1) * batch_size))
        loss = F.cross_entropy(lenet(_pixels(images[chosen])), targets[torch.from_numpy(chosen)])
        for group in adam.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        adam.zero_grad()
        loss.backward()
        adam.step()
    lenet.eval().requires_grad_(False)
    some = stream.indices(np.arange(min(len(images), _SCALE_IMAGES)))
    unit = float(np.sqrt(np.square(lenet_features(lenet, images[some]), dtype=np.float64).mean()))
    if not 0 < unit < math.inf:
        raise ValueError(
            f"learning_rate {learning_rate:g}: the classifier's features became {unit:g}; give a lower one"
        )
    lenet.unit.fill_(unit)
    return lenet


@torch.no_grad()
def lenet_features(lenet: LeNet, images: np.ndarray) -> np.ndarray:
    """Of uint8 images (n, H, W, C) of the size that the classifier was trained on: float32 (n, 84).

    Raises ValueError for other images.
    """
    rows = [lenet.features(x_NCHW).numpy() for x_NCHW in _cut(lenet, images)]
    return np.concatenate(rows)


@torch.no_grad()
def accuracy(lenet: LeNet, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images (as in `lenet_features`) that get their label (integers, n). Raises ValueError."""
    if labels.shape != (len(images),):
        raise ValueError(f"labels {labels.shape} of {len(images)} images: give one an image")
    found = torch.cat([lenet(x_NCHW).argmax(dim=1) for x_NCHW in _cut(lenet, images)])
    return float(np.mean(found.numpy() == labels))


def fingerprint(lenet: LeNet) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of `to_bytes`: which classifier a score was taken with."""
    return hashlib.sha256(to_bytes(lenet)).hexdigest()[:12]


def to_bytes(lenet: LeNet) -> bytes:
    """The weights as safetensors."""
    return save({name: tensor.contiguous() for name, tensor in lenet.state_dict().items()})


def save_lenet(lenet: LeNet, path: Path) -> None:
    """Writes the weights; the file appears whole or not at all. Raises OSError."""
    write_atomic(path, to_bytes(lenet))


def load_lenet(path: Path) -> LeNet:
    """The classifier that `save_lenet` wrote, in eval mode. Raises UserError for a file that is none."""
    try:
        tensors = load(path.read_bytes())
        lenet = _empty(_checked_about(tensors["about"]))
        own = lenet.state_dict()
        if any(tensor.dtype != own[name].dtype or not tensor.isfinite().all() for name, tensor in tensors.items()):
            raise ValueError("types or values of tensors")
        lenet.load_state_dict(tensors, assign=True)
    except OSError as error:
        raise UserError(f"classifier '{path}': cannot be read ({error.strerror}); train one again") from error
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"classifier '{path}': is damaged, or no classifier of gen-dist; train one again") from error
    return _channels_last(lenet).eval().requires_grad_(False)


def _checked_about(about: Tensor) -> tuple[int, int, int, int]:
    """What a file says of its network. Raises ValueError for what no network of ours is, before one is built."""
    if about.dtype != torch.int64 or about.shape != (4,):
        raise ValueError(f"about: {about.dtype} {tuple(about.shape)}")
    height, width, channels, classes = about.tolist()
    sizes_fit = LEAST_SIZE <= min(height, width) <= max(height, width) <= MOST_SIZE
    if not sizes_fit or channels not in (1, 3) or not 2 <= classes <= MOST_CLASSES:
        raise ValueError(f"about: {about.tolist()}")
    return height, width, channels, classes


def _empty(about: tuple[int, int, int, int]) -> LeNet:
    """Without values, and without drawing any from torch's global generator."""
    with torch.device("meta"):
        return LeNet(*about)


def _initialised(what: tuple[int, int, int, int], draws: Draws) -> LeNet:
    lenet = _empty(what)
    about, unit = lenet.about, lenet.unit
    lenet.to_empty(device="cpu")
    initialise("scores/lenet", lenet, draws, "uniform")
    lenet.about, lenet.unit = about, unit
    return _channels_last(lenet)


def _channels_last(lenet: LeNet) -> LeNet:
    """Trained and loaded ones alike, since the last bits of features depend on it."""
    return lenet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _targets(labels: np.ndarray, count: int) -> Tensor:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"labels: {labels.dtype} {labels.shape} of {count} images; give one integer an image")
    if labels.min() < 0 or not 1 <= labels.max() < MOST_CLASSES:
        found = f"{labels.min()} … {labels.max()}"
        raise ValueError(f"labels {found}: give 0 to classes - 1, of 2 to {MOST_CLASSES} classes")
    return torch.from_numpy(labels.astype(np.int64))


def _pixels(images: np.ndarray) -> Tensor:
    """uint8 (n, H, W, C) as (n, C, H, W) in [-1, 1], channels_last."""
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1


def _cut(lenet: LeNet, images: np.ndarray) -> Iterator[Tensor]:
    check_images("images", images)
    if images.shape[1:] != lenet.image_shape:
        raise ValueError(f"images {images.shape[1:]}: this classifier was trained on {lenet.image_shape}")
    return (_pixels(images[block]) for block in blocks(len(images), _BLOCK))
