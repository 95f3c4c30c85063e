"""The loader that a configuration asks for."""

from gen_dist.config import RunConfig
from gen_dist.data.loader import Loader
from gen_dist.data.pixels import Images
from gen_dist.data.stream import Batching
from gen_dist.objectives.base import Objective


def build_loader(config: RunConfig, images: Images, objective: Objective) -> Loader:
    """Its threads start when it is first asked."""
    data, train = config.data, config.train
    return Loader(
        images, config.seed, Batching(train.batch_size, train.microbatch_size, objective.reads_per_step),
        augment=data.augment, pixel_range=objective.pixel_range, threads=data.loader_threads, prefetch=data.prefetch,
    )  # fmt: skip
