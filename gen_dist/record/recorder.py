"""From the engine's events to the run folder, W&B and the terminal. The only writer of all three."""

import json
import time
from contextlib import suppress
from typing import Any

from gen_dist.atomic import write_atomic
from gen_dist.errors import UserError
from gen_dist.events import CheckpointReady, Event, HealthWarning, Message, Pictures, StepDone, Timeline
from gen_dist.profiling.trace import chrome_trace
from gen_dist.record.checkpoints import write_checkpoint
from gen_dist.record.event_log import Happening, append_event
from gen_dist.record.metrics import MetricsFile
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.record.progress import Progress
from gen_dist.record.run_folder import RunFolder, State
from gen_dist.record.tracked import PICTURE_KINDS
from gen_dist.record.tracking import Tracker
from gen_dist.step_times import flat_times

_STATUS_SECONDS = 1.0
_TRACKER_SECONDS = {"finished": 60.0, "stopped": 15.0, "failed": 5.0}  # what W&B gets to send its last rows


class Recorder:
    """Records the run in `run_folder`, whose lock the caller holds.

    Steps and pictures that a run records again, because it went back to a checkpoint, are recorded once; `first_step`
    is that of the checkpoint, and metrics that the run recorded after it are forgotten.
    """

    def __init__(
        self,
        run_folder: RunFolder,
        *,
        steps: int,
        keep_checkpoints: int,
        tracker: Tracker | None,
        progress: Progress | None,
        first_step: int | None = None,
    ) -> None:
        self._folder, self._tracker, self._progress = run_folder, tracker, progress
        self._steps, self._keep = steps, keep_checkpoints
        self._metrics = MetricsFile(run_folder.path / "metrics.jsonl", first_step)
        self._step: int | None = None  # the last step of this process
        self._status_due = 0.0
        self._closed = False
        self._timelines: dict[int, Timeline] = {}
        run_folder.set_status("running", steps=steps, message="")

    def handle(self, event: Event) -> None:
        """Record one event. Raises UserError where the disk refuses."""
        match event:
            case StepDone():
                self._step_done(event)
            case Pictures():
                self._pictures(event)
            case CheckpointReady():
                self._step = event.step
                self._metrics.sync()
                write_checkpoint(self._folder.path, event.step, event.files, self._keep)
            case Message(text, detail=True):
                self._folder.log(text)
            case Message():
                self._say(event.text)
                if event.marks:
                    self._mark(event.text)
            case Timeline():
                self._timelines[event.rank] = event
                if len(self._timelines) == event.workers:
                    self._write_trace()
            case HealthWarning():
                self._say(f"warning: {event.text}")
                self._mark(event.text)
                if self._tracker:
                    self._tracker.alert(event.title, event.text)

    def close(self, state: State, message: str = "", exit_code: int = 0) -> None:
        """End the bar, the record and W&B. A disk that refuses does not raise: often that is why the run ends."""
        if self._closed:
            return
        self._closed = True
        if self._timelines:
            with suppress(UserError):
                self._write_trace()
        if self._progress:
            self._progress.close()
        self._metrics.close()
        try:
            self._folder.log(f"{state}: {message}" if message else state)
            self._folder.set_status(state, message=message, **self._position())
        except UserError as error:
            if self._progress:
                self._progress.message(str(error))
        if self._tracker:
            self._tracker.finish(exit_code, _TRACKER_SECONDS[state])

    def _say(self, line: str) -> None:
        self._folder.log(line)
        if self._progress:
            self._progress.message(line)

    def _mark(self, text: str) -> None:
        append_event(self._folder.path, Happening(self._metrics.last_step if self._step is None else self._step, text))

    def _step_done(self, event: StepDone) -> None:
        self._step = event.step
        row: dict[str, Any] = {f"train/{name}": value for name, value in event.losses.items()}
        row |= {f"perf/{name}": value for name, value in event.perf.items()}
        row |= {f"health/{name}": value for name, value in event.health.items()}
        if event.state_hash is not None:
            row["state_hash"] = event.state_hash
        nested = {"time": event.times} if event.times else {}
        if self._metrics.append(event.step, row | nested) and self._tracker:
            self._tracker.log(event.step, row | flat_times(event.times))
        if self._progress:
            self._progress.update(event.step, event.losses, event.perf)
        if time.monotonic() >= self._status_due:
            self._folder.set_status("running", **self._position())
            self._status_due = time.monotonic() + _STATUS_SECONDS

    def _pictures(self, event: Pictures) -> None:
        if event.kind not in PICTURE_KINDS:
            raise ValueError(f"pictures of kind '{event.kind}': must be one of {PICTURE_KINDS}")
        path = self._folder.path / event.kind / f"step-{event.step:08d}.png"
        new = not path.exists()
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"folder '{path.parent}': cannot be made ({error.strerror}); check the disk") from error
        save_png(path, image_grid(event.images, event.columns))
        if new and self._tracker:
            self._tracker.picture(event.step, event.kind, path)

    def _write_trace(self) -> None:
        """Of the ranks that have said what they did, once; a rank that was lost has not."""
        found = dict(sorted(self._timelines.items()))
        self._timelines = {}
        spans = {rank: timeline.spans for rank, timeline in found.items()}
        trace = chrome_trace(spans, {rank: timeline.host for rank, timeline in found.items()})
        path = self._folder.path / "trace.json"
        try:
            write_atomic(path, json.dumps(trace).encode())
        except OSError as error:
            raise UserError(f"trace '{path}': cannot be written ({error.strerror}); check the disk") from error

    def _position(self) -> dict[str, int]:
        return {"steps": self._steps} | ({} if self._step is None else {"step": self._step})
