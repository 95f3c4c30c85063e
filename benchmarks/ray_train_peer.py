"""The peer of `benchmarks.launch`: the `smoke` preset's DCGAN under Ray Train's TorchTrainer, written as its docs say.

Run as `python -m benchmarks.ray_train_peer FOLDER`. The worker of rank 0 appends a row to FOLDER/metrics.jsonl after
each step (both networks), and leaves the seconds it took to import and build gen-dist's model in FOLDER/model.json.
"""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train import RunConfig, ScalingConfig, get_context
from ray.train.torch import TorchConfig, TorchTrainer, prepare_data_loader, prepare_model
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

WORKERS = 2
OBJECT_STORE_BYTES = 200_000_000


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir()
    ray.init(
        num_cpus=WORKERS, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder.with_name("ray")), log_to_driver=False,
    )  # fmt: skip
    try:
        TorchTrainer(
            train,
            train_loop_config={"folder": str(folder)},
            scaling_config=ScalingConfig(num_workers=WORKERS),
            torch_config=TorchConfig(backend="gloo"),
            run_config=RunConfig(name="peer", storage_path=str(folder.with_name("storage"))),
        ).fit()
    finally:
        ray.shutdown()


def train(settings: dict[str, Any]) -> None:
    """What each worker runs: D, then G, on its half of every batch."""
    # The driver has no use for these.
    started = time.perf_counter()
    from gen_dist.models.build import build_modules
    from gen_dist.presets import load_config

    config = load_config("smoke", [])
    modules = build_modules(config, channels=3)
    model_seconds = time.perf_counter() - started

    rank, folder = get_context().get_world_rank(), Path(settings["folder"])
    # Nothing to keep in step between ranks: in training, ghost batch norm does not touch its buffers.
    options = {"broadcast_buffers": False}
    generator = prepare_model(modules["generator"], parallel_strategy_kwargs=options)
    discriminator = prepare_model(modules["discriminator"], parallel_strategy_kwargs=options)
    rates = config.optimizer
    adam_g, adam_d = (
        Adam(network.parameters(), lr=rates.learning_rate, betas=(rates.beta1, rates.beta2), fused=True)
        for network in (generator, discriminator)
    )
    local = config.train.batch_size // WORKERS
    loader = prepare_data_loader(DataLoader(TensorDataset(load_images()), local, shuffle=True, drop_last=True))
    if rank == 0:
        (folder / "model.json").write_text(json.dumps(model_seconds))

    step = 0
    with open(folder / "metrics.jsonl", "a") if rank == 0 else open(os.devnull, "w") as metrics:
        while step < config.train.steps:
            for (real_NCHW,) in loader:
                latent = torch.randn(2, len(real_NCHW), config.model.latent)
                loss_d = train_discriminator(discriminator, generator, adam_d, real_NCHW, latent[0])
                loss_g = train_generator(discriminator.module, generator, adam_g, latent[1])
                step += 1
                if not math.isfinite(loss_d + loss_g):
                    raise RuntimeError(f"step {step}: losses {loss_d}, {loss_g}")
                row = {"step": step, "train/discriminator_loss": loss_d, "train/generator_loss": loss_g}
                print(json.dumps(row), file=metrics, flush=True)
                forget_statistics(modules.values())
                if step == config.train.steps:
                    break


def load_images() -> Tensor:
    """All images of the pack, (N, C, H, W) in [-1, 1], channels_last."""
    import numpy as np

    from gen_dist.config import DataSettings
    from gen_dist.data.pack import Pack
    from gen_dist.preparing.resolving import resolve_data

    pack = Pack.open(resolve_data(DataSettings(path="bundled:emoji", size=32), lambda line: None))
    images_NHWC = torch.from_numpy(pack.read(np.arange(len(pack))))
    return images_NHWC.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def train_discriminator(discriminator: Any, generator: Any, adam: Adam, real_NCHW: Tensor, z_NZ: Tensor) -> float:
    with torch.no_grad():
        fake_NCHW = generator(z_NZ)
    adam.zero_grad()
    loss = softplus(-discriminator(real_NCHW, None)).mean() + softplus(discriminator(fake_NCHW, None)).mean()
    loss.backward()
    adam.step()
    return loss.item()


def train_generator(discriminator: Any, generator: Any, adam: Adam, z_NZ: Tensor) -> float:
    """`discriminator` is the bare module: its gradients are neither computed nor sent."""
    discriminator.requires_grad_(False)
    adam.zero_grad()
    loss = softplus(-discriminator(generator(z_NZ), None)).mean()
    loss.backward()
    adam.step()
    discriminator.requires_grad_(True)
    return loss.item()


def forget_statistics(networks: Any) -> None:
    """gen-dist's norm layers keep what they saw until it is taken; this loop makes no pictures, so nobody needs it."""
    from gen_dist.models.layers import take_statistics

    for network in networks:
        take_statistics(network)


if __name__ == "__main__":
    main()
