"""What a rank has to say after each step. One rank reports; the others keep what it said, to go on should it die."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gen_dist.checkpointing import checkpoint_facts
from gen_dist.config import RunConfig
from gen_dist.config.objective import GANObjectiveSettings
from gen_dist.data.pack import Pack
from gen_dist.engine.engine import Engine, StepReport
from gen_dist.engine.ownership import Ownership
from gen_dist.events import CheckpointReady, Event, Message, Pictures, StepDone, Where
from gen_dist.health import Health
from gen_dist.showing import COLUMNS, reconstruct_images, sample_images
from gen_dist.step_times import DATA, Record, StepTimes, to_record
from gen_dist.vital_signs import VitalSigns

SHOWN_SAMPLES, SHOWN_RECONSTRUCTIONS = 64, 32
KEPT_STEPS = 256  # more than ever wait to be recorded


@dataclass(frozen=True)
class Step:
    """The end of one, as all ranks know it."""

    number: int
    report: StepReport
    last: bool
    state_hash: str | None


class Reporter:
    """Says what happened, when it is due. What takes work is only done while `reports` is set."""

    def __init__(self, engine: Engine, config: RunConfig, pack: Pack, send: Callable[[Event], None]) -> None:
        self.engine, self.config, self.pack, self.send = engine, config, pack, send
        self.reports = False
        self.since, self.steps, self.times = time.perf_counter(), 0, StepTimes()
        shown = engine.loader.stream.indices(np.arange(SHOWN_RECONSTRUCTIONS, dtype=np.int64))
        self.originals = pack.read(shown)
        self.vital_signs, self.health = VitalSigns(pack, engine.loader.stream), Health(config)
        self.kept: deque[StepDone] = deque(maxlen=KEPT_STEPS)
        self.latest: Step | None = None

    def step_done(self, step: Step) -> None:
        self.note_times(step.report)
        self.latest = step
        self.health.note(step.report.losses)
        if self.is_recorded(step.number):
            train = self.config.train
            shown = step.state_hash if is_due(step.number, train.hash_every) or step.number == train.steps else None
            perf, times = self.performance()
            self.kept.append(StepDone(step.number, step.report.losses, perf, shown, times=times))
        if self.reports:
            self.tell(step)

    def ownership_changed(self, step: int, ownership: Ownership) -> None:
        """Microbatches move to faster workers after `step`: for the log, since no result depends on it."""
        if self.reports:
            shares = ", ".join(map(str, ownership.shares))
            self.send(Message(f"step {step}: as fast as they are, ranks now own {shares} microbatches", detail=True))

    def take_over(self, recorded: int) -> None:
        """Report from now on, beginning with what came after step `recorded`."""
        self.reports = True
        latest, state = self.latest, self.engine.state
        if latest is not None and state.step == latest.number and not self.engine.committed:
            for event in self.kept:
                if recorded < event.step < latest.number:
                    self.send(event)  # of its pictures the weights are gone
            if recorded < latest.number or self.is_heavy(latest):
                self.tell(latest)
        else:
            for event in self.kept:
                if recorded < event.step:
                    self.send(event)

    def tell(self, step: Step) -> None:
        """Everything that is due after a step, while the weights are those of its end."""
        # What is recorded does not depend on where the run was cut, so that a resumed run has the same record.
        shows = self.shows(step.number)
        pictures = self.pictures(step.number) if step.last or shows else []
        figures = self.measure(pictures[0]) if shows else {}
        if self.kept and self.kept[-1].step == step.number:
            self.kept[-1] = replace(self.kept[-1], health=figures)
            self.send(self.kept[-1])
        for picture in pictures:
            self.send(picture)
        for warning in self.health.judge(step.number, figures) if shows else []:
            self.send(warning)
        if step.last or is_due(step.number, self.config.train.checkpoint_every):
            self.engine.watch(Where(step.number, "report", "checkpoint"))
            facts = checkpoint_facts(self.config, self.pack)
            self.send(CheckpointReady(step.number, self.engine.state.to_files(facts, step.state_hash)))

    def shows(self, step: int) -> bool:
        return is_due(step, self.config.train.sample_every) or step == self.config.train.steps

    def is_recorded(self, step: int) -> bool:
        due = is_due(step, self.config.train.log_every, self.config.train.hash_every)
        return due or self.shows(step) or step == 1 or has_rare_loss(step, self.config)

    def is_heavy(self, step: Step) -> bool:
        """Whether more than numbers is due after it."""
        return step.last or is_due(step.number, self.config.train.sample_every, self.config.train.checkpoint_every)

    def note_times(self, report: StepReport) -> None:
        """Of steps all of whose times are known."""
        self.steps += 1
        if all(report.pace):
            self.times.steps += 1
            for phase, tally in (*report.tallies[1:], report.tallies[0]):  # the first is of the step's last phase
                self.times.add(phase, tally.measured, tally.counted)

    def forget_times(self) -> None:
        """They are those of other ranks."""
        self.times = StepTimes()

    def performance(self) -> tuple[dict[str, float], Record]:
        """Averages over the steps since the last call, and where their time went."""
        now, times = time.perf_counter(), self.times
        seconds = (now - self.since) / self.steps
        self.since, self.steps, self.times = now, 0, StepTimes()
        found = {"images_per_second": self.config.train.batch_size / seconds, "step_seconds": seconds}
        if times.seconds:
            found["data_wait_fraction"] = times.share(DATA)
        return found, to_record(times)

    def pictures(self, step: int) -> list[Pictures]:
        """Samples, and reconstructions where the model makes any."""
        engine, modules = self.engine, self.engine.state.showing
        samples = sample_images(engine.objective, modules, self.config.seed, SHOWN_SAMPLES, engine.device)
        rows = reconstruct_images(engine.objective, modules, self.originals, engine.device)
        made = {"samples": samples, "reconstructions": rows}
        return [Pictures(step, kind, images, COLUMNS) for kind, images in made.items() if images is not None]

    def measure(self, samples: Pictures) -> dict[str, float]:
        engine = self.engine
        return self.vital_signs.measure(engine.objective, engine.state.showing, samples.images, engine.device)


def has_rare_loss(step: int, config: RunConfig) -> bool:
    """Whether it is the first one, since a record was due, with a loss that not every step has: R1, of which the record
    would hold next to nothing else."""
    objective, since = config.objective, step % config.train.log_every
    if not isinstance(objective, GANObjectiveSettings) or not objective.r1:
        return False
    return (step - 1) % objective.r1_every == 0 and since < objective.r1_every


def is_due(step: int, *every: int) -> bool:
    """Whether something that is done every so many steps is done after this one."""
    return any(step % steps == 0 for steps in every)
