"""Committed phases as they can be committed again: what a newcomer needs to follow those who train, with their state.

The reduced gradient of a phase, and what was reduced with it, make the step of one rank that of every other. So a
newcomer is sent one state and then gradients, a quarter of its size each, while the others go on.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_STATES = 2.0  # what a journal may hold, in sizes of the state: who is slower than that will not catch up


@dataclass(frozen=True)
class Entry:
    """One committed phase: the `number`-th of the step after `step` finished ones.

    `gradients` are those before clipping, of every trained module's parameters in order; None: it had none.
    """

    step: int
    number: int
    gradients: Mapping[str, list[Tensor | None]]
    losses: Mapping[str, float]
    statistics: Mapping[str, list[list[Tensor]]]
    norms: Mapping[str, float]
    tally: Tensor

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(g.nbytes for gradients in self.gradients.values() for g in gradients if g is not None)


class Journal:
    """Entries since it was begun, until they are taken."""

    def __init__(self, state_bytes: int) -> None:
        self.entries: deque[Entry] = deque()
        self.room = MOST_STATES * state_bytes
        self.is_whole = True  # nothing had to be left out
        self.lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        """Over its limit it is given up: without one entry all others are of no use."""
        with self.lock:
            if self.is_whole:
                self.entries.append(entry)
                self.room -= entry.size
            if self.room < 0:
                self.is_whole = False
                self.entries.clear()

    def take(self) -> list[Entry] | None:
        """The entries so far, once; None where it was given up. From any thread."""
        with self.lock:
            if not self.is_whole:
                return None
            taken = list(self.entries)
            self.entries.clear()
            self.room += sum(entry.size for entry in taken)
            return taken


def copy_gradients(parameters: list[torch.nn.Parameter]) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.detach().cpu().clone() for p in parameters]
