"""Whether machines compute alike is not guessed from their processors: each shows what it makes of the same step."""

import hashlib

import numpy as np
import torch

from gen_dist.config import RunConfig
from gen_dist.data.loader import Loader
from gen_dist.data.pixels import kernels_used
from gen_dist.data.stream import Batching
from gen_dist.draws import Draws
from gen_dist.engine.engine import Engine
from gen_dist.engine.memory import explain_out_of_memory
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.state import State, digest_tensor
from gen_dist.engine.tree_reducer import TreeReducer
from gen_dist.kernels.warm_up import warm_up
from gen_dist.models.growth import stage_of
from gen_dist.objectives.build import build_objective


class Noise:
    """Uniform noise in place of a pack: fixed data that every machine can make."""

    encoded = None

    def __init__(self, seed: int, images: int, size: int, channels: int) -> None:
        self.shape = (size, size, channels)
        pixels = Draws(seed).uniform_array("probe", (images, *self.shape), high=256.0)
        self.parts = [np.minimum(pixels, 255).astype(np.uint8)]

    def __len__(self) -> int:
        return len(self.parts[0])


def probe_hash(config: RunConfig, channels: int) -> str:
    """SHA-256 over the gradients and the state after one step of the configuration's own model on one microbatch.

    From the first weights and from noise; device and precision must be resolved. A model that grows does a second step
    at its last size. On machines where the hash is the same, a step from any state may be expected to be so: all
    kernels that training uses have been at work.

    Raises:
        RunError: a gradient or loss was not finite, or there is not enough memory.
    """
    torch.set_num_threads(config.train.threads)
    with explain_out_of_memory(config, channels):
        state = probed_state(config, channels)
    digest = hashlib.sha256(state.hash().encode())
    for module in state.modules.values():
        for parameter in module.parameters():
            digest.update(b"none" if parameter.grad is None else digest_tensor(parameter.grad))
    return digest.hexdigest()


def probed_state(config: RunConfig, channels: int) -> State:
    """After the probe's steps; the gradients of the last one are still there."""
    device = torch.device(config.train.device)
    objective = build_objective(config)
    size = config.train.microbatch_size
    noise = Noise(config.seed, size, config.data.size, channels)
    warm_up(*kernels_used(noise, config.data.augment))
    state = State.create(config, channels, objective.shown, device)
    loader = Loader(
        noise, config.seed, Batching(size, size, objective.reads_per_step), augment=config.data.augment,
        pixel_range=objective.pixel_range, prefetch=1,
    )  # fmt: skip
    engine = Engine(
        objective, state, loader, TreeReducer(None), Draws(config.seed), Ownership((0, 1)), 0, device,
        config.train.precision,
    )  # fmt: skip
    try:
        engine.step()
        stage = stage_of(state.modules)
        state.go_to(config.train.steps)
        if stage_of(state.modules) != stage:
            engine.step()
    finally:
        loader.close()
    return state
