"""What a training process tells others. Plain values, so that they travel through Ray as they are."""

from dataclasses import dataclass, field

import numpy as np

from gen_dist.step_times import Record, Span


@dataclass(frozen=True)
class Where:
    """What a worker is doing; `step` is the number of the step in progress, the first is 1."""

    step: int
    phase: str
    stage: str  # "data", "compute", "reduce", "agree", "optimise", "commit"; "checkpoint"

    def __str__(self) -> str:
        return f"step {self.step}, {self.phase} phase, {self.stage}"


@dataclass(frozen=True)
class StepDone:
    """One committed step that is to be recorded. `step` counts finished steps (the first is 1).

    `losses` and `perf` hold globally reduced means, keyed without their `train/` and `perf/` prefix; `times` where the
    time of the steps since the last record went, as `step_times` has it; `health` what the reporting rank measured on
    the pictures of this step, if it made any, keyed without `health/`.
    """

    step: int
    losses: dict[str, float]
    perf: dict[str, float]
    state_hash: str | None = None  # 64 hexadecimal digits, at the steps where the ranks' states are compared
    health: dict[str, float] = field(default_factory=dict)
    times: Record = field(default_factory=dict)


@dataclass(frozen=True)
class Pictures:
    """Images to show: uint8, shape (rows * columns, H, W, C), row by row."""

    step: int
    kind: str  # "samples" or "reconstructions"
    images: np.ndarray
    columns: int


@dataclass(frozen=True)
class CheckpointReady:
    """The whole state after `step`: file name to content, e.g. `weights.safetensors`, `state.json`."""

    step: int
    files: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class Message:
    """A line for the log and, unless it is `detail` (a traceback, say), the terminal.

    `marks`: it tells what happened to the workers, for the curves to be marked there.
    """

    text: str
    detail: bool = False
    marks: bool = False


@dataclass(frozen=True)
class HealthWarning:
    """A sign of collapse or imbalance: `title` names the trouble, `text` is a whole line that says what to change."""

    step: int
    title: str  # under 64 characters
    text: str


@dataclass(frozen=True)
class Timeline:
    """What a rank's thread did in the steps that are traced."""

    rank: int
    workers: int
    host: str
    spans: list[Span] = field(repr=False)


Event = StepDone | Pictures | CheckpointReady | Message | HealthWarning | Timeline
