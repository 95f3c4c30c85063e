"""The record of a run, from its first step to its last message: shared by all ways of running."""

import shlex
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from gen_dist.config import RunConfig
from gen_dist.errors import RunError, UserError
from gen_dist.events import Event, Message
from gen_dist.launch.request import Opened
from gen_dist.launch.signals import Interrupted, StopRequest
from gen_dist.record.progress import Progress
from gen_dist.record.recorder import Recorder
from gen_dist.record.tracking import Tracker


@dataclass
class Recording:
    """Begins with `start`, once the configuration is resolved and the workers are known."""

    opened: Opened
    workers: int
    way: str  # the options to continue it in the same way
    is_kept: bool = True  # else it is a measurement, and nobody looks for its folder
    recorder: Recorder | None = None
    tracker: Tracker | None = None
    has_content: bool = False  # something that must not be thrown away

    def start(self, config: RunConfig, plan: Sequence[str] = ()) -> None:
        """Begin the record; `plan` says in lines who does what."""
        folder, first = self.opened.folder, self.opened.first_step
        asked = {"reproducibility": self.opened.config.train.reproducibility}  # found out anew when it goes on
        folder.write_config(config.model_copy(update={"train": config.train.model_copy(update=asked)}).model_dump())
        info = folder.info
        self.tracker = Tracker(
            folder.path,
            run_id=info["wandb_id"],
            name=f"{config.preset or 'run'}-w{self.workers}-b{config.train.batch_size}-seed{config.seed}-{info['id']}",
            config=config.model_dump(),
            mode=config.wandb.mode,
            project=config.wandb.project,
            entity=config.wandb.entity,
            report=folder.log,
        )
        self.recorder = Recorder(
            folder,
            steps=config.train.steps,
            keep_checkpoints=config.train.keep_checkpoints,
            tracker=self.tracker,
            progress=Progress(config.train.steps, first, config.preset or "training"),
            first_step=first,
        )
        begin = f"continuing after step {first}" if first else "starting"
        train = config.train
        how = f"{begin}: {self.workers} workers, {train.device}, {train.precision}, {train.reproducibility}"
        for line in (f"run folder {folder.path}", how, *plan):
            self.handle(Message(line))

    def handle(self, event: Event) -> None:
        if self.recorder is None:  # the data are on their way
            assert isinstance(event, Message), event
            self.opened.folder.log(event.text)
            print(event.text, flush=True)
            return
        self.has_content |= not isinstance(event, Message)
        self.recorder.handle(event)

    def asked_to_stop(self, request: StopRequest) -> bool:
        return bool(request) or self.opened.folder.stop_requested()

    def end(self, steps: int, request: StopRequest) -> int:
        """Close the record of a run that ended in order; returns the exit code."""
        assert self.recorder is not None
        assert self.tracker is not None
        path = self.opened.folder.path
        finished = steps >= self.opened.config.train.steps
        if finished:
            self.recorder.close("finished", f"{steps} steps", 0)
            if self.is_kept:
                print(f"finished: {steps} steps; run folder {path}")
        else:
            self.recorder.close("stopped", f"after step {steps}", request.exit_code)
            print(f"stopped after step {steps}" + f"; to go on: {self.resume_command}" * self.is_kept)
        if self.is_kept:
            print(self.tracker.summary)
            print(self.report())
        self.opened.folder.unlock()
        return 0 if finished else request.exit_code

    def report(self) -> str:
        """Write the run's report; returns a line about it. A run that went well does not fail for it."""
        from gen_dist.report.write import FILE, write_report

        path = self.opened.folder.path
        try:
            write_report([path], path / FILE)
        except Exception as error:  # whatever it is, the run is done
            with suppress(UserError):
                self.opened.folder.log(traceback.format_exc())
            return f"no report: {' '.join(str(error).split())}"
        return f"report: {path / FILE}"

    @contextmanager
    def failures_recorded(self) -> Iterator[None]:
        """Whatever goes wrong inside is written down before it goes on its way.

        Raises:
            UserError, Interrupted: as they came.
            RunError: every other failure, with where to look and how to go on.
        """
        try:
            yield
        except (UserError, Interrupted) as error:
            self.fail(str(error), keep=self.has_content)
            raise
        except RunError as error:
            self.fail(str(error), error.detail)
            raise self.with_advice(str(error)) from None
        except Exception as error:
            message = f"an error inside gen-dist: {type(error).__name__}: {' '.join(str(error).split())}"
            self.fail(message, traceback.format_exc())
            raise self.with_advice(message) from error

    def fail(self, message: str, detail: str = "", keep: bool = True) -> None:
        """Close the record, or, unless `keep`, take back a folder in which nothing happened yet."""
        folder = self.opened.folder
        with suppress(UserError):  # often a full disk is why the run ends
            if detail:
                folder.log(detail)
            if self.recorder is None:
                folder.set_status("failed", message=message)
        if self.recorder is not None:
            self.recorder.close("failed", message, 1)
        elif self.tracker is not None:
            self.tracker.finish(1, timeout=5.0)
        folder.unlock()
        if not keep:
            self.opened.take_back()

    def with_advice(self, message: str) -> RunError:
        if not self.is_kept:
            return RunError(message)
        log = self.opened.folder.path / "log.txt"
        return RunError(f"{message}\n  log: {log}\n  to go on: {self.resume_command}")

    @property
    def resume_command(self) -> str:
        return f"gen-dist train --resume {shlex.quote(str(self.opened.folder.path))} {self.way}".rstrip()
