"""Out of memory: what needs it, and which keys make it less."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gen_dist.config import RunConfig
from gen_dist.errors import RunError
from gen_dist.models.build import count_parameters

BYTES = 4  # of a float32
COPIES = {"adam": 4, "rmsprop": 3, "sgd": 2}  # of every parameter: weight, gradient, what the optimiser keeps
REFUSED = ("can't allocate memory", "not enough memory", "Cannot allocate memory")  # by torch, in so many words


@contextmanager
def explain_out_of_memory(config: RunConfig, channels: int) -> Iterator[None]:
    """Raises RunError with what the model takes, in place of torch's error that there is no memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        raise RunError(describe(config, channels), str(error)) from error


def is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(text in str(error) for text in REFUSED)


def describe(config: RunConfig, channels: int) -> str:
    """One line."""
    counts = count_parameters(config, channels)
    parameters = ", ".join(f"{name} {count / 1e6:,.1f} M" for name, count in counts.items())
    gigabytes = sum(counts.values()) * BYTES * COPIES[config.optimizer.kind] / 1e9
    widths = [f"model.{key}" for key in config.model.model_dump() if key.endswith(("width", "layers"))]
    return (
        f"out of memory: the model's parameters ({parameters}) take {gigabytes:,.1f} GB in each worker, with gradients "
        "and optimiser, and what layers pass on takes more; lower train.microbatch_size, data.size or "
        f"{' or '.join(widths)}, or start fewer workers on this machine"
    )
