"""The networks of the plain loops, trained as VAEs by Pythae's own trainer; runs in Pythae's environment.

    python -m benchmarks.step.with_pythae SYSTEM IMAGES.npy THREADS SECONDS

SYSTEM: vae-64, vae-mnist. Prints seconds a step, one line each, after the first ones.
"""

import sys
import tempfile
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import nn

from benchmarks.step.plain import BATCH, vae_64, vae_mnist

UNTIMED = 5  # steps at first
ENDLESS = 10_000  # epochs; the time ends it
LATENT = {"vae-64": 128, "vae-mnist": 10}
LOSS = {"vae-64": "mse", "vae-mnist": "bce"}


class TheirEncoder(BaseEncoder):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):  # type: ignore[no-untyped-def]
        mean, log_variance = self.network(x).chunk(2, 1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class TheirDecoder(BaseDecoder):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z):  # type: ignore[no-untyped-def]
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


class Enough(Exception):
    """Raised by the callback: the trainer itself counts epochs only."""


class Watch(TrainingCallback):
    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.since, self.end = seconds, 0, time.perf_counter(), float("inf")
        self.lines: list[float] = []

    def on_train_step_end(self, training_config, **kwargs):  # type: ignore[no-untyped-def]
        now = time.perf_counter()
        self.steps += 1
        if self.steps > UNTIMED:
            self.lines.append(now - self.since)
        elif self.steps == UNTIMED:
            self.end = now + self.seconds
        self.since = now
        if now > self.end:
            raise Enough


def main() -> None:
    name, path, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    x_NCHW = torch.from_numpy(np.load(path)).permute(0, 3, 1, 2).contiguous().float() / 255
    encoder, decoder = {"vae-64": vae_64, "vae-mnist": vae_mnist}[name]()
    settings = VAEConfig(tuple(x_NCHW.shape[1:]), LATENT[name], reconstruction_loss=LOSS[name])
    model = VAE(settings, TheirEncoder(encoder), TheirDecoder(decoder))
    watch = Watch(float(seconds))
    with tempfile.TemporaryDirectory() as folder:
        how = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=10_000,
            learning_rate=1e-3,
            no_cuda=True,
            per_device_train_batch_size=BATCH[name],
        )
        try:
            data = BaseDataset(x_NCHW, torch.zeros(len(x_NCHW)))
            BaseTrainer(model, data, training_config=how, callbacks=[watch]).train()
        except Enough:
            print("\n".join(map(str, watch.lines)))


if __name__ == "__main__":
    main()
