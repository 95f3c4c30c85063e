"""All randomness of a run: numbers named by what they are for and whom they belong to, never taken from a state."""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gen_dist.kernels.philox import fill_normal, fill_uniform, philox4x32

# Step and phase of what is drawn outside a step; no step counts that far.
_NO_PHASE, _NO_STEP = 2**32 - 1, 2**64 - 1

_Fill = Callable[[np.ndarray, int, int, np.ndarray], None]


def subkey(seed: int, purpose: str, phase: int = _NO_PHASE, step: int = _NO_STEP) -> tuple[int, int]:
    """The two 32-bit key words for one purpose: words 0 and 1 of Philox keyed by the seed.

    Args:
        seed: in [0, 2**64), the key's low and high word.
        purpose: enters by the CRC-32 of its UTF-8 bytes.
        phase: phase number within the step, in [0, 2**32).
        step: in [0, 2**64), or any other counter such as the pass.

    Raises ValueError if a number is out of range.
    """
    if not (0 <= seed < 2**64 and 0 <= phase < 2**32 and 0 <= step < 2**64):
        raise ValueError(f"seed {seed}, phase {phase}, step {step}: must fit 64, 32 and 64 bits without sign")
    counter = (zlib.crc32(purpose.encode()), phase, *_words(step))
    word0, word1, _, _ = philox4x32(*(np.uint64(word) for word in (*counter, *_words(seed))))
    return int(word0), int(word1)


@dataclass(frozen=True, eq=False)
class SampleDraws:
    """Random numbers for the samples at `positions` (int64, n) in one phase of one step.

    A sample's numbers depend on (seed, purpose, step, phase, position) only, not on which other positions are
    asked for, and the first k numbers of a purpose do not depend on how many follow. Asking twice gives the same.
    """

    seed: int
    step: int
    phase: int
    positions: np.ndarray
    device: torch.device
    prefix: str = ""

    def normal(self, purpose: str, *shape: int) -> torch.Tensor:
        """Standard normal numbers: float32, shape (n, *shape), on `device`."""
        return self._draw(fill_normal, purpose, shape).to(self.device, non_blocking=True)

    def uniform(self, purpose: str, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Uniform numbers in [low, high), up to rounding: float32, shape (n, *shape), on `device`."""
        numbers = self._draw(fill_uniform, purpose, shape)
        _scale(numbers.numpy(), low, high)
        return numbers.to(self.device, non_blocking=True)

    def within(self, name: str) -> "SampleDraws":
        """The same samples, with every purpose prefixed by `name/`; for the parts of a model."""
        return SampleDraws(self.seed, self.step, self.phase, self.positions, self.device, f"{self.prefix}{name}/")

    def _draw(self, fill: _Fill, purpose: str, shape: tuple[int, ...]) -> torch.Tensor:
        # Drawn on the CPU whatever the device, so that the numbers do not depend on it; pinned, so that the copy
        # does not wait. torch's memory is aligned alike in every process, which keeps torch's own results alike.
        numbers = torch.empty(len(self.positions), *shape, pin_memory=self.device.type == "cuda")
        key = subkey(self.seed, self.prefix + purpose, self.phase, self.step)
        fill(numbers.numpy().reshape(len(self.positions), math.prod(shape)), *key, self.positions)
        return numbers


class Draws:
    """The random numbers of a run with this seed, an integer in [0, 2**64)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def at(self, step: int, phase: int, positions: np.ndarray, device: str | torch.device = "cpu") -> SampleDraws:
        """Draws for the samples at `positions` (integers, n) in phase number `phase` of step `step`."""
        return SampleDraws(self.seed, step, phase, np.array(positions, dtype=np.int64), torch.device(device))

    def array(self, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        """Standard normal numbers (float32, `shape`) that depend on seed and purpose only; for initial weights."""
        return self._array(fill_normal, purpose, shape)

    def uniform_array(self, purpose: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Uniform numbers in [low, high), up to rounding (float32, `shape`), that depend on seed and purpose only."""
        numbers = self._array(fill_uniform, purpose, shape)
        _scale(numbers, low, high)
        return numbers

    def _array(self, fill: _Fill, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        numbers = np.empty((1, math.prod(shape)), np.float32)
        fill(numbers, *subkey(self.seed, purpose), np.zeros(1, np.int64))
        return numbers.reshape(shape)


def _scale(numbers: np.ndarray, low: float, high: float) -> None:
    """Stretch numbers in [0, 1) to [low, high), in place and in float32."""
    numbers *= np.float32(high - low)
    numbers += np.float32(low)


def _words(number: int) -> tuple[int, int]:
    """Low and high 32-bit word."""
    return number & 0xFFFFFFFF, number >> 32
