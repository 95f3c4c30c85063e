"""A run's model, opened to be looked at: latents in, images out, and back where it encodes.

Shapes: N images of H x W pixels and C channels, Z latent values.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from gen_dist.checkpointing import EMA, WEIGHTS, read_facts
from gen_dist.config import RunConfig
from gen_dist.draws import Draws, SampleDraws
from gen_dist.engine.state import check_tensors, copy_tensors, flatten_modules, read_tensors
from gen_dist.errors import UserError
from gen_dist.models.build import Modules, build_modules, construct
from gen_dist.models.growth import GrowingModule, set_step
from gen_dist.objectives.build import build_objective
from gen_dist.presets import load_config
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint
from gen_dist.record.run_folder import RunFolder
from gen_dist.scores.inputs import blocks
from gen_dist.showing import MOST_AT_ONCE, SHOWN_PHASE, to_pixel_range, to_uint8

CPU = torch.device("cpu")
PIXELS_AT_ONCE = 1 << 20
TRIES = 3  # to read a checkpoint of a run that replaces it meanwhile


class Trained:
    """On the CPU, in eval mode. What it makes of a latent or an image depends on that alone, but for the last bits, in
    which computing more at once may differ."""

    def __init__(self, path: Path, config: RunConfig, files: Mapping[str, bytes], raw: bool) -> None:
        facts = read_facts(files)
        step, channels = facts["step"], facts.get("channels")
        if channels not in (1, 3) or step < 0:
            raise UserError(f"run '{path}': its checkpoint is of step {step} and {channels} channels: damaged")
        self.path, self.config, self.step, self.channels = path, config, int(step), int(channels)
        self.data_hash: str | None = facts.get("data_hash")
        self.raw = raw
        self.objective = build_objective(config)
        self.latent = self.objective.latent
        self.modules = load_modules(config, self.channels, files, () if raw else self.objective.shown)
        set_step(self.modules, self.step)

    @classmethod
    def open(cls, run: Path, raw: bool = False) -> Self:
        """The run in a folder, which may be under way, at its last checkpoint. `raw`: the weights as trained, not their
        moving average.

        Raises:
            UserError: no run, or one that is damaged; no checkpoint yet.
        """
        folder = RunFolder.open(run)
        return cls(folder.path, load_config(str(folder.path / "config.yaml")), read_last(folder.path), raw)

    @property
    def size(self) -> int:
        return self.config.data.size

    @property
    def at_once(self) -> int:
        """Images that are made together: fewer large ones."""
        return max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // self.size**2))

    @property
    def encodes(self) -> bool:
        return "encoder" in self.modules

    def decode(self, z_NZ: np.ndarray) -> np.ndarray:
        """The image of each latent: uint8 (N, H, W, C)."""
        low_to_high = self.objective.pixel_range
        return self._in_parts(z_NZ, lambda z: to_uint8(self.objective.decode(self.modules, z), low_to_high))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """The mean of each image's latent: float32 (N, Z). `images`: uint8 (N, H, W, C), of this model's size.

        Raises:
            UserError: nothing encodes in this model.
        """
        self.require_encoder()

        def means(x: Tensor) -> np.ndarray:
            found = self.objective.posterior_means(self.modules, self._pixels(x), self._draws(len(x)))
            assert found is not None  # it has an encoder
            return found.float().numpy()

        return self._in_parts(images, means)

    def require_encoder(self) -> None:
        """Raises UserError if there is none."""
        if not self.encodes:
            kind = self.config.objective.kind
            raise UserError(
                f"run '{self.path}': a {kind}, which cannot encode images; give the run of a VAE or VAE-GAN"
            )

    def require_judge(self) -> None:
        """Raises UserError if there is no discriminator."""
        if "discriminator" not in self.modules:
            raise UserError(f"run '{self.path}': has no discriminator, which could judge; leave --best-of out")

    def judge(self, images: np.ndarray) -> np.ndarray:
        """What the discriminator says of each image, higher: more real. Float32 (N,).

        Raises:
            UserError: there is no discriminator.
        """
        self.require_judge()
        discriminator = self.modules["discriminator"]

        def scores(x: Tensor) -> np.ndarray:
            seen = self._pixels(x)
            if isinstance(discriminator, GrowingModule):
                seen = discriminator.reduce(seen)
            return discriminator(seen, self._draws(len(x))).float().numpy()

        return self._in_parts(images, scores)

    @torch.no_grad()
    def _in_parts(self, values: np.ndarray, make: Callable[[Tensor], np.ndarray]) -> np.ndarray:
        return np.concatenate([make(torch.from_numpy(values[some])) for some in blocks(len(values), self.at_once)])

    def _pixels(self, images: Tensor) -> Tensor:
        return to_pixel_range(images.numpy(), self.objective.pixel_range, CPU)

    def _draws(self, count: int) -> SampleDraws:
        """Which layers ask for in training; in eval mode they make no difference."""
        return Draws(0).at(0, SHOWN_PHASE, np.arange(count, dtype=np.int64))


def read_last(run: Path) -> dict[str, bytes]:
    """The run's last checkpoint, also while the run replaces it by the next.

    Raises:
        UserError: there is none, or it is damaged.
    """
    for left in reversed(range(TRIES)):
        checkpoint = latest_checkpoint(run)
        if checkpoint is None:
            raise UserError(f"run folder '{run}': has no checkpoint yet; wait for one, or train longer")
        try:
            return read_checkpoint(checkpoint)
        except UserError:
            if not left or latest_checkpoint(run) == checkpoint:
                raise
    raise AssertionError("the last try returns or raises")


def load_modules(config: RunConfig, channels: int, files: Mapping[str, bytes], averaged: tuple[str, ...]) -> Modules:
    """The modules of a checkpoint in eval mode, those of `averaged` with the moving average of their weights if it has
    one.

    Raises:
        UserError: a file is missing or corrupt, or holds other tensors than this model's.
    """
    check_tensors(
        WEIGHTS, read_tensors(WEIGHTS, files), flatten_modules(construct(config, channels))
    )  # costs nothing yet
    modules = build_modules(config, channels)
    load_tensors(modules, WEIGHTS, files)
    if config.train.ema_decay and averaged:
        load_tensors({name: modules[name] for name in averaged}, EMA, files)
    for module in modules.values():
        module.eval().requires_grad_(False)
    return modules


def load_tensors(modules: Mapping[str, nn.Module], file: str, files: Mapping[str, bytes]) -> None:
    saved, own = read_tensors(file, files), flatten_modules(modules)
    check_tensors(file, saved, own)
    copy_tensors(saved, own)
