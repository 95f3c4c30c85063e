"""The peer of `benchmarks.launch` and `.recovery`: a DCGAN preset under Ray Train's TorchTrainer, as its docs say.

Run as `python -m benchmarks.ray_train_peer FOLDER [PRESET STEPS CHECKPOINT_EVERY]`. The worker of rank 0 appends a row
to FOLDER/metrics.jsonl after each step (both networks), and leaves the seconds it took to import and build gen-dist's
model in FOLDER/model.json. With CHECKPOINT_EVERY, it saves its state so often and goes on from there after a failure.
"""

import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray.train import Checkpoint, FailureConfig, RunConfig, ScalingConfig, get_checkpoint, get_context, report
from ray.train.torch import TorchConfig, TorchTrainer, prepare_data_loader, prepare_model
from torch import Tensor
from torch.nn.functional import softplus
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

WORKERS = 2
OBJECT_STORE_BYTES = 200_000_000


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    preset, steps, every = sys.argv[2:5] if sys.argv[2:] else ("smoke", "20", "0")
    folder.mkdir()
    ray.init(
        num_cpus=WORKERS, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder.with_name("ray")), log_to_driver=False,
    )  # fmt: skip
    try:
        TorchTrainer(
            train,
            train_loop_config={"folder": str(folder), "preset": preset, "steps": int(steps), "every": int(every)},
            scaling_config=ScalingConfig(num_workers=WORKERS),
            torch_config=TorchConfig(backend="gloo"),
            run_config=RunConfig(
                name="peer", storage_path=str(folder.with_name("storage")), failure_config=FailureConfig(max_failures=3)
            ),
        ).fit()
    finally:
        ray.shutdown()


def train(settings: dict[str, Any]) -> None:
    """What each worker runs: D, then G, on its half of every batch."""
    # The driver has no use for these.
    started = time.perf_counter()
    from gen_dist.models.build import build_modules
    from gen_dist.presets import load_config

    config = load_config(settings["preset"], [])
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
    images = load_images(config.data.size)
    loader = prepare_data_loader(DataLoader(TensorDataset(images), local, shuffle=True, drop_last=True))
    if rank == 0:
        (folder / "model.json").write_text(json.dumps(model_seconds))

    kept = {"generator": generator, "discriminator": discriminator, "adam_g": adam_g, "adam_d": adam_d}
    step = load_checkpoint(kept)
    with open(folder / "metrics.jsonl", "a") if rank == 0 else open(os.devnull, "w") as metrics:
        while step < settings["steps"]:
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
                if settings["every"] and step % settings["every"] == 0:
                    save_checkpoint(kept, step, rank)
                if step == settings["steps"]:
                    break


def load_checkpoint(kept: dict[str, Any]) -> int:
    """Returns the step it was made after; 0 where there is none."""
    checkpoint = get_checkpoint()
    if checkpoint is None:
        return 0
    with checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder) / "state.pt", weights_only=True)
    for name, part in kept.items():
        part.load_state_dict(saved[name])
    return saved["step"]


def save_checkpoint(kept: dict[str, Any], step: int, rank: int) -> None:
    """By rank 0; all ranks report."""
    with tempfile.TemporaryDirectory() as folder:
        if rank == 0:
            saved = {name: part.state_dict() for name, part in kept.items()}
            torch.save({**saved, "step": step}, Path(folder) / "state.pt")
        report({"step": step}, checkpoint=Checkpoint.from_directory(folder) if rank == 0 else None)


def load_images(size: int) -> Tensor:
    """All images of the pack, (N, C, H, W) in [-1, 1], channels_last."""
    import numpy as np

    from gen_dist.config import DataSettings
    from gen_dist.data.pack import Pack
    from gen_dist.preparing.resolving import resolve_data

    pack = Pack.open(resolve_data(DataSettings(path="bundled:emoji", size=32), lambda line: None))
    images_NHWC = torch.from_numpy(pack.read(np.arange(len(pack)))).repeat_interleave(size // 32, 1)
    images_NHWC = images_NHWC.repeat_interleave(size // 32, 2)
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
