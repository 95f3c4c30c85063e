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
from gen_dist.models.build import Modules, build_modules
from gen_dist.models.growth import set_step
from gen_dist.objectives.build import build_objective
from gen_dist.presets import load_config
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint
from gen_dist.record.run_folder import RunFolder
from gen_dist.showing import MOST_AT_ONCE, SHOWN_PHASE, to_pixel_range, to_uint8

CPU = torch.device("cpu")


class Trained:
    """On the CPU, in eval mode. What it makes of a latent or an image depends on that alone, not on its neighbours."""

    def __init__(self, path: Path, config: RunConfig, files: Mapping[str, bytes], raw: bool) -> None:
        facts = read_facts(files)
        self.path, self.config, self.step, self.channels = path, config, int(facts["step"]), int(facts["channels"])
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
        checkpoint = latest_checkpoint(folder.path)
        if checkpoint is None:
            raise UserError(f"run folder '{run}': has no checkpoint yet; wait for one, or train longer")
        config = load_config(str(folder.path / "config.yaml"))
        return cls(folder.path, config, read_checkpoint(checkpoint), raw)

    @property
    def size(self) -> int:
        return self.config.data.size

    @property
    def encodes(self) -> bool:
        return "encoder" in self.modules

    @property
    def judges(self) -> bool:
        return "discriminator" in self.modules

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

    def judge(self, images: np.ndarray) -> np.ndarray:
        """What the discriminator says of each image, higher: more real. Float32 (N,).

        Raises:
            UserError: there is no discriminator.
        """
        if not self.judges:
            raise UserError(f"run '{self.path}': has no discriminator, which could judge; leave --best-of out")
        discriminator = self.modules["discriminator"]
        return self._in_parts(images, lambda x: discriminator(self._pixels(x), self._draws(len(x))).float().numpy())

    @torch.no_grad()
    def _in_parts(self, values: np.ndarray, make: Callable[[Tensor], np.ndarray]) -> np.ndarray:
        parts = [torch.from_numpy(values[i : i + MOST_AT_ONCE]) for i in range(0, len(values), MOST_AT_ONCE)]
        return np.concatenate([make(part) for part in parts])

    def _pixels(self, images: Tensor) -> Tensor:
        return to_pixel_range(images.numpy(), self.objective.pixel_range, CPU)

    def _draws(self, count: int) -> SampleDraws:
        """Which layers ask for in training; in eval mode they make no difference."""
        return Draws(0).at(0, SHOWN_PHASE, np.arange(count, dtype=np.int64))


def load_modules(config: RunConfig, channels: int, files: Mapping[str, bytes], averaged: tuple[str, ...]) -> Modules:
    """The modules of a checkpoint in eval mode, those of `averaged` with the moving average of their weights if it has
    one.

    Raises:
        UserError: a file is missing or corrupt, or holds other tensors than this model's.
    """
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
