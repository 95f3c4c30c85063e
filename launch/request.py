"""What the user asked `gen-dist train` for, and what it opens: configuration, data, run folder, checkpoints."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gen_dist.assignment import Files
from gen_dist.checkpointing import check_checkpoint, check_weights, checkpoint_facts, read_facts
from gen_dist.cluster.placement import Wish
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError
from gen_dist.preparing.resolving import resolve_data
from gen_dist.presets import load_config
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint
from gen_dist.record.run_folder import RunFolder, default_run_path

LEAST_IMAGES = 2
RUN_ID = "WANDB_RUN_ID"  # set by the agent of a sweep, which waits for a run of this name


@dataclass(frozen=True)
class Request:
    preset: str
    overrides: list[str]
    workers: Wish | None
    address: str | None
    no_ray: bool
    resume: str  # "auto", "never" or a run folder
    init_from: Path | None
    run_dir: Path | None
    is_kept: bool = True  # else it is a measurement, whose folder goes away with it
    only_exchanges: bool = False  # see Assignment

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            UserError: they do.
        """
        if self.no_ray and self.workers is not None:
            raise UserError(f"--workers {self.workers}: Ray starts workers; with --no-ray, torchrun does")
        if not self.preset and not self.resumed_run:
            raise UserError("PRESET: missing; give a preset (see 'gen-dist configs'), a .yaml file, or --resume RUN")
        if self.resumed_run and self.run_dir and self.resumed_run.absolute() != self.run_dir.absolute():
            raise UserError(f"--run-dir {self.run_dir}: --resume {self.resume} continues in its own folder; give one")
        if self.resumed_run and self.init_from:
            raise UserError(f"--init-from {self.init_from}: a resumed run has its own weights; give one of the two")

    @property
    def resumed_run(self) -> Path | None:
        return None if self.resume in ("auto", "never") else Path(self.resume)

    @property
    def way(self) -> str:
        """The options that say how to run, to repeat them."""
        parts = {
            "--no-ray": self.no_ray,
            f"--workers {self.workers}": self.workers,
            f"--address {self.address}": self.address,
        }
        return " ".join(option for option, given in parts.items() if given)

    def wanted_workers(self, config: RunConfig) -> Wish:
        """The number of workers asked for, in one way or the other, or else as many as are useful."""
        shares = config.cluster.shares
        return self.workers or (Wish(1, len(shares), exactly=True) if shares else Wish())

    def config(self) -> RunConfig:
        """The configuration as asked for; a resumed run's own where no preset is named."""
        if self.preset:
            return load_config(self.preset, self.overrides)
        assert self.resumed_run is not None
        return load_config(str(RunFolder.open(self.resumed_run).path / "config.yaml"), self.overrides)


@dataclass
class Opened:
    """All that a run needs before any process is started."""

    config: RunConfig
    pack_path: Path
    pack: Pack
    folder: RunFolder
    created: bool
    resume: Files | None
    init: Files | None

    @property
    def first_step(self) -> int:
        return read_facts(self.resume)["step"] if self.resume is not None else 0

    def take_back(self) -> None:
        """Bad input that is found late leaves no folder behind."""
        if self.created:
            self.folder.discard()


def open_run(request: Request, report: Callable[[str], None], hold: Callable[[], None] = lambda: None) -> Opened:
    """Read everything, check it, then make or lock the run folder; `hold` is called before a folder is made.

    Raises:
        UserError: anything the user can correct; nothing is left half-written.
    """
    config = request.config()
    for notice in config.notices():
        report(notice)
    pack_path, pack = open_data(config, report)
    folder = existing_run(request)
    if folder:
        folder.lock()  # first: its writer may be about to write another checkpoint
    resume = read_latest(folder) if folder else None
    init = read_weights(request.init_from) if request.init_from else None
    if init is not None:
        check_weights(init, config, pack.shape[2], str(request.init_from))
    if resume is not None:
        config = keep_precision(config, resume)
        check_checkpoint(read_facts(resume), checkpoint_facts(config, pack), str(folder.path if folder else ""))
    if folder:
        folder.clear_stop()
        return Opened(config, pack_path, pack, folder, False, resume, init)
    path = request.run_dir or default_run_path("runs", config.preset or "run")
    hold()
    named = {"wandb_id": os.environ[RUN_ID]} if os.environ.get(RUN_ID) else {}
    created = RunFolder.create(path, config.model_dump(), {"preset": config.preset, **named})
    return Opened(config, pack_path, pack, created, True, resume, init)


def open_data(config: RunConfig, report: Callable[[str], None]) -> tuple[Path, Pack]:
    if not config.data.path:
        raise UserError("data.path: not set; give a folder of images, data.path=FOLDER, or data.path=bundled:emoji")
    path = resolve_data(config.data, report)
    pack = Pack.open(path)
    if len(pack) < LEAST_IMAGES:
        raise UserError(f"data.path '{config.data.path}': {len(pack)} image; training needs at least {LEAST_IMAGES}")
    return path, pack


def existing_run(request: Request) -> RunFolder | None:
    """The run to continue, if any."""
    if request.resumed_run is not None:
        return RunFolder.open(request.resumed_run)
    if request.resume == "auto" and request.run_dir and (request.run_dir / "run.json").exists():
        if request.init_from:
            raise UserError(
                f"--init-from {request.init_from}: {request.run_dir} already holds a run; name another --run-dir"
            )
        return RunFolder.open(request.run_dir)
    return None


def read_latest(folder: RunFolder) -> Files | None:
    checkpoint = latest_checkpoint(folder.path)
    return read_checkpoint(checkpoint) if checkpoint else None


def read_weights(run: Path) -> Files:
    files = read_latest(RunFolder.open(run))
    if files is None:
        raise UserError(f"--init-from {run}: that run has no checkpoint yet")
    return files


def keep_precision(config: RunConfig, resume: Files) -> RunConfig:
    """A run goes on in the precision it was started in, where none is asked for by name."""
    if config.train.precision != "auto":
        return config
    saved = read_facts(resume).get("settings", {}).get("train.precision", "auto")
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": saved})})
