"""Which rank computes which microbatch: a value that may change between steps and never changes the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gen_dist.errors import UserError


@dataclass(frozen=True)
class Ownership:
    """Rank r owns the microbatches bounds[r] <= i < bounds[r + 1]: contiguous, never none."""

    bounds: tuple[int, ...]

    @classmethod
    def from_shares(cls, shares: Sequence[int]) -> "Ownership":
        """Ownership where rank r has shares[r] microbatches.

        Raises:
            ValueError: a share is below 1.
        """
        if min(shares) < 1:
            raise ValueError(f"shares {list(shares)}: every worker needs at least one microbatch")
        return cls((0, *accumulate(shares)))

    @classmethod
    def equal(cls, microbatches: int, workers: int) -> "Ownership":
        """As equal as possible; the first ranks take the remainder."""
        whole, rest = divmod(microbatches, workers)
        return cls.from_shares([whole + (rank < rest) for rank in range(workers)])

    @property
    def workers(self) -> int:
        return len(self.bounds) - 1

    @property
    def microbatches(self) -> int:
        return self.bounds[-1]

    @property
    def shares(self) -> list[int]:
        return [len(self.of(rank)) for rank in range(self.workers)]

    def of(self, rank: int) -> range:
        return range(self.bounds[rank], self.bounds[rank + 1])

    def owner(self, microbatch: int) -> int:
        return next(rank for rank in range(self.workers) if microbatch in self.of(rank))


def decide_ownership(microbatches: int, workers: int, shares: Sequence[int] | None) -> Ownership:
    """The ownership a run starts with.

    Raises:
        UserError: more workers than microbatches, or shares for another number of workers.
    """
    if workers > microbatches:
        raise UserError(
            f"{workers} workers: more than the batch has microbatches ({microbatches}); "
            f"use at most {microbatches} workers, or a smaller train.microbatch_size"
        )
    if shares is None:
        return Ownership.equal(microbatches, workers)
    if len(shares) != workers:
        raise UserError(
            f"cluster.shares {list(shares)}: {len(shares)} shares for {workers} workers; give one per worker, "
            f"or --workers {len(shares)}"
        )
    return Ownership.from_shares(shares)
