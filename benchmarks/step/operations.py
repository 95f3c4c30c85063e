"""How many floating-point operations a step takes for an image, counted by torch while the real engine does one."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from gen_dist.engine.timing import Timing
from gen_dist.presets import load_config

CPU = ["train.device=cpu", "train.precision=fp32", "train.threads=1"]


def operations_per_image(preset: str) -> float:
    """Of all phases' forward and backward passes, over the images of the batch."""
    config = load_config(preset, CPU)
    channels = config.data.channels or 3
    timing = Timing(config, channels)
    try:
        with FlopCounterMode(display=False) as counter:
            timing.step()
        images = timing.phases[0].owned * config.train.microbatch_size
    finally:
        timing.close()
    torch.set_num_threads(1)
    return counter.get_total_flops() / images
