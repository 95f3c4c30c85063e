"""Which image belongs to which place of the run: an endless stream of seeded permutations, without epochs."""

from dataclasses import dataclass

import numpy as np

from gen_dist.draws import subkey
from gen_dist.kernels.permutation import permute


class Stream:
    """The endless stream over `n` samples: pass 0 in one random order, pass 1 in another, and so on.

    Position p holds sample permutation[p // n](p % n), computed on its own, so every sample comes exactly once a
    pass whoever asks for it, and a run may go on at any position.
    """

    def __init__(self, seed: int, n: int) -> None:
        if n < 1:
            raise ValueError(f"a stream over {n} samples")
        self.seed = seed
        self.n = n

    def indices(self, positions: np.ndarray) -> np.ndarray:
        """Sample indices (int64, k) in [0, n) at `positions` (integers, k).

        Raises ValueError if a position is negative.
        """
        positions = np.array(positions, dtype=np.int64)
        if positions.size and positions.min() < 0:
            raise ValueError(f"position {positions.min()}: must not be negative")
        passes, within = np.divmod(positions, self.n)
        if not positions.size or passes.min() == passes.max():  # nearly always
            return self._permuted(within, int(passes[0]) if positions.size else 0)
        samples = np.empty_like(within)
        for number in np.unique(passes):
            chosen = passes == number
            samples[chosen] = self._permuted(within[chosen], int(number))
        return samples

    def _permuted(self, within: np.ndarray, number: int) -> np.ndarray:
        """Samples at places of one pass."""
        samples = np.empty(len(within), np.int64)
        permute(samples, within, self.n, *subkey(self.seed, "permutation", step=number))
        return samples


@dataclass(frozen=True)
class Batching:
    """How the stream is cut: each step reads `reads_per_step` global batches, each of whole microbatches.

    Raises ValueError if a size is below one or the batch is not a whole number of microbatches.
    """

    batch_size: int
    microbatch_size: int
    reads_per_step: int = 1

    def __post_init__(self) -> None:
        sizes = self.batch_size, self.microbatch_size, self.reads_per_step
        if min(sizes) < 1 or self.batch_size % self.microbatch_size:
            raise ValueError(f"{self}: sizes must be at least 1, and the batch whole microbatches")

    @property
    def microbatches(self) -> int:
        """Microbatches in a global batch."""
        return self.batch_size // self.microbatch_size

    def positions(self, step: int, read: int, microbatch: int) -> np.ndarray:
        """Stream positions (int64, microbatch_size) of a microbatch; step, read and microbatch count from 0.

        Raises ValueError if one of them is out of range.
        """
        if step < 0 or not 0 <= read < self.reads_per_step or not 0 <= microbatch < self.microbatches:
            raise ValueError(f"step {step}, read {read}, microbatch {microbatch}: out of range for {self}")
        first = (step * self.reads_per_step + read) * self.batch_size + microbatch * self.microbatch_size
        return np.arange(first, first + self.microbatch_size, dtype=np.int64)
