"""What a group of workers can promise: the same bits, or the same up to rounding. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gen_dist.config import RunConfig
from gen_dist.errors import UserError


@dataclass(frozen=True)
class Probe:
    """What a worker makes of the probe step (see probe.py)."""

    host: str
    hash: str


def wants_probe(config: RunConfig, workers: int) -> bool:
    """Whether the workers' probes decide anything; `config` has its device and reducer resolved."""
    train = config.train
    return workers > 1 and train.reproducibility != "rounding" and train.device == "cpu" and train.reducer == "tree"


def resolve_reproducibility(config: RunConfig, probes: Sequence[Probe]) -> tuple[RunConfig, str | None]:
    """The configuration with `auto` reproducibility replaced, and a line for the user where machines differ.

    `probes`: one for each rank, if they are wanted.

    Raises:
        UserError: under `bitwise`, a worker computes other bits than most (than rank 0, if there is no majority).
    """
    wanted, line = config.train.reproducibility, None
    if wanted == "auto":
        wanted = "bitwise" if config.train.device == "cpu" and config.train.reducer == "tree" else "rounding"
    if probes:
        usual = Counter(probe.hash for probe in probes).most_common(1)[0][0]
        reference = next(rank for rank, probe in enumerate(probes) if probe.hash == usual)
        others = [f"rank {rank} on {probe.host}" for rank, probe in enumerate(probes) if probe.hash != usual]
        than = f"other bits than rank {reference} on {probes[reference].host} in a probe step"
        if others and config.train.reproducibility == "bitwise":
            raise UserError(
                f"train.reproducibility 'bitwise': {', '.join(others)} computed {than}; leave that machine out, or use "
                "train.reproducibility=auto"
            )
        if others:
            wanted, line = "rounding", f"rounding, not bitwise: {', '.join(others)} computed {than}"
    train = config.train.model_copy(update={"reproducibility": wanted})
    return config.model_copy(update={"train": train}), line
