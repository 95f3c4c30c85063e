"""Pythae's VAE by Pythae's own trainer, on one core; runs in Pythae's environment.

    python -m benchmarks.quality.with_pythae IMAGES.npy SEED OUT (--steps N | --seconds S)

Writes the weights (`encoder.npz`, `decoder.npz`) and `facts.json` into the folder OUT.
"""

import argparse
import json
import math
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback

from benchmarks.quality.pythae_networks import LATENT, Decoder, Encoder, pixels

BATCH_SIZE, LEARNING_RATE = 128, 1e-3
ENDLESS = 10_000  # epochs; the time ends it


class Enough(Exception):
    """Raised by the callback that counts the steps: the trainer itself counts epochs only."""


class Watch(TrainingCallback):
    def __init__(self, most_steps: float, core_seconds: float) -> None:
        self.most_steps, self.core_seconds = most_steps, core_seconds
        self.steps, self.started = 0, time.process_time()

    @property
    def used(self) -> float:
        return time.process_time() - self.started

    def on_train_begin(self, training_config, **kwargs):  # type: ignore[no-untyped-def]
        self.started = time.process_time()

    def on_train_step_end(self, training_config, **kwargs):  # type: ignore[no-untyped-def]
        self.steps += 1
        if self.steps >= self.most_steps or self.used >= self.core_seconds:
            raise Enough


class TheirEncoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.network = Encoder()

    def forward(self, x):  # type: ignore[no-untyped-def]
        mean, log_variance = self.network(x)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class TheirDecoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.network = Decoder()

    def forward(self, z):  # type: ignore[no-untyped-def]
        return ModelOutput(reconstruction=pixels(self.network(z)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train Pythae's VAE.")
    parser.add_argument("images", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=math.inf)
    parser.add_argument("--seconds", type=float, default=math.inf)
    given = parser.parse_args()
    torch.set_num_threads(1)
    x_NCHW = torch.from_numpy(np.load(given.images)).permute(0, 3, 1, 2).float() / 255
    torch.manual_seed(given.seed)  # Pythae seeds nothing before its networks are made
    shape = tuple(x_NCHW.shape[1:])
    settings = VAEConfig(input_dim=shape, latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(settings, TheirEncoder(), TheirDecoder())
    with tempfile.TemporaryDirectory() as folder:
        how = BaseTrainerConfig(
            output_dir=folder, num_epochs=ENDLESS, learning_rate=LEARNING_RATE, seed=given.seed, no_cuda=True,
            per_device_train_batch_size=BATCH_SIZE,
        )  # fmt: skip
        watch = Watch(given.steps, given.seconds)
        data = BaseDataset(x_NCHW, torch.zeros(len(x_NCHW)))
        try:
            BaseTrainer(model, data, training_config=how, callbacks=[watch]).train()
        except Enough:
            used = watch.used
    for name, network in (("encoder", model.encoder.network), ("decoder", model.decoder.network)):
        np.savez(given.out / f"{name}.npz", **{key: value.numpy() for key, value in network.state_dict().items()})
    versions = {"pythae": metadata.version("pythae"), "torch": torch.__version__}
    facts = {"steps": watch.steps, "images": watch.steps * BATCH_SIZE, "core_seconds": round(used, 1), **versions}
    (given.out / "facts.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
