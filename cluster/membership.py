"""Who is in the group of a generation, as plain values that travel through Ray."""

from dataclasses import dataclass

from gen_dist.engine.hardware import Hardware
from gen_dist.standing import Place, Standing

NEW = -1  # the generation of a worker that has not been in any


@dataclass(frozen=True)
class Identity:
    """Who a worker is and what it has."""

    host: str
    source: str
    hardware: Hardware
    data_hash: str | None  # None: it has no copy of the pack
    data_lack: str = ""  # why it has none


@dataclass(frozen=True)
class Rendezvous:
    """The store where generations meet."""

    address: str
    port: int
    timeout_seconds: float  # of a collective

    @property
    def is_local(self) -> bool:
        return self.address.startswith("127.")


@dataclass(frozen=True)
class Membership:
    """A worker's part in a generation."""

    generation: int
    place: Place
    rendezvous: Rendezvous


@dataclass(frozen=True)
class Halted:
    """A worker that waits for its next generation.

    `ended`: it has done the last step, or one that was asked to be the last. `broke` says why its group ended, if not
    because it was asked to. `faulty`: the rank that all ranks found to compute what no other does.
    """

    standing: Standing
    ended: bool = False
    broke: str = ""
    faulty: int | None = None


@dataclass(frozen=True)
class Said:
    """What a worker answers to a poll: what it is doing, events with the number of the first, and whether it waits."""

    where: str
    generation: int
    halted: bool
    first: int
    events: list
