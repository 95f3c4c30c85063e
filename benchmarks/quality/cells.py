"""What is compared with what: tables of systems, each trained with several seeds for the same time. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from gen_dist.config import result_settings
from gen_dist.presets import load_config

SEEDS = (0, 1, 2)
CORE_SECONDS = 600.0  # five minutes on two cores

PYTHAE = "pythae"  # not a preset: it is trained by its own trainer


@dataclass(frozen=True)
class System:
    """One side of a comparison: a preset of ours, or of a reference system, with what fits it to the data."""

    preset: str
    overrides: tuple[str, ...] = ()
    decays: bool = False  # its learning rate falls to the end of the time, however many steps that is


@dataclass(frozen=True)
class Table:
    """`score` is what is compared, less is better; `goal`: the most that ours may be of the better of the others."""

    data: str
    score: str
    goal: float
    ours: str
    systems: dict[str, System] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    table: str
    system: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.table}/{self.system}-{self.seed}"

    def settings(self, costs: Mapping[str, float]) -> str:
        """Of what decides its result: a cell that was made with others is made again."""
        system = TABLES[self.table].systems[self.system]
        config = (
            load_config(system.preset, [*system.overrides, f"seed={self.seed}"]) if system.preset != PYTHAE else None
        )
        decisive = config and sorted(result_settings(config).items())
        told = f"{decisive} {system.decays} {sorted(costs.items())} {CORE_SECONDS}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]


VAE_AT_28 = (
    "data.size=28", "objective.likelihood=bernoulli", "objective.kl_warmup_steps=1000", "model.width=32",
    "optimizer.learning_rate=4e-3", "optimizer.warmup_steps=300", "train.microbatch_size=128",
)  # fmt: skip

TABLES = {
    "faces": Table(
        "olivetti",
        "sliced_wasserstein",
        0.6,
        "sngan-small",
        {
            "sngan-small": System("sngan-small"),
            "gan-balanced64": System("gan-balanced64"),
            "dcgan-64": System("dcgan-64"),
        },
    ),
    "fashion-vae": Table(
        "fashion-28",
        "negative_elbo",
        1.0,
        "vae-64-sharp",
        {
            "vae-64-sharp": System("vae-64-sharp", VAE_AT_28, decays=True),
            "vae-mnist": System("vae-mnist"),
            PYTHAE: System(PYTHAE),
        },
    ),
    "fashion-gan": Table(
        "fashion-32",
        "kernel_distance",
        0.6,
        "dcgan-32",
        {
            "dcgan-32": System("dcgan-32", decays=True),
            "gan-mnist32": System("gan-mnist32"),
        },
    ),
    "cifar": Table(
        "cifar-32",
        "kernel_distance",
        0.8,
        "dcgan-32",
        {
            "dcgan-32": System("dcgan-32", decays=True),
            "dcgan-64": System("dcgan-64", ("data.size=32",)),
        },
    ),
}


def cells(
    tables: list[str] | None = None, systems: list[str] | None = None, seeds: tuple[int, ...] = SEEDS
) -> list[Cell]:
    """All cells, seed by seed, so that what is there when it is stopped has every system."""
    return [
        Cell(name, system, seed)
        for seed in seeds
        for name, table in TABLES.items()
        if not tables or name in tables
        for system in table.systems
        if not systems or system in systems
    ]
