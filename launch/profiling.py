"""What `gen-dist profile` does: run, measure, write the profile's files, say what they mean."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from gen_dist.cluster.placement import Wish
from gen_dist.config import RunConfig, flatten
from gen_dist.config.objective import GANObjectiveSettings
from gen_dist.errors import UserError
from gen_dist.launch.options import parse_workers
from gen_dist.launch.request import Request
from gen_dist.models.growing import GrowingSettings
from gen_dist.presets import load_config
from gen_dist.profiling.advice import advise
from gen_dist.profiling.bottleneck import find_bottleneck
from gen_dist.profiling.page import profile_page
from gen_dist.profiling.profile import Profile, merge_rows, read_profile
from gen_dist.profiling.sweep import Setting, axes_of, best_lines, sweep_table
from gen_dist.profiling.tables import comparison_table, phase_table, profile_table
from gen_dist.record.metrics import read_metrics
from gen_dist.record.run_folder import RunFolder, default_run_path
from gen_dist.step_times import from_record
from gen_dist.training import settling_steps

# By the profile itself.
DECIDED = ("train.steps", "train.log_every", "train.trace_steps", "train.sample_every", "train.checkpoint_every",
           "wandb.mode")  # fmt: skip
NEVER = 10**9
RECORDED_ROWS = 50  # of a run's record: what it does now, not what it did long ago


@dataclass(frozen=True)
class Wanted:
    preset: str
    overrides: list[str]
    workers: Wish | None
    address: str | None
    no_ray: bool
    steps: int
    out: Path | None

    def check(self) -> None:
        """Raises UserError for what cannot be profiled, before anything is started or written."""
        for override in self.overrides:
            if override.partition("=")[0] in DECIDED:
                raise UserError(f"{override}: a profile decides that; use --steps {self.steps}, or 'gen-dist train'")
        if self.no_ray and os.environ.get("WORLD_SIZE", "1") != "1":
            raise UserError("--no-ray: profiles one process; start it without torchrun, or use --workers N")

    @property
    def folder(self) -> Path:
        return self.out or default_run_path("profiles", self.preset)

    def request(self, run_dir: Path, only_exchanges: bool = False) -> Request:
        """A run of as many steps as are needed, which records each and nothing else."""
        own = load_config(self.preset, self.overrides)
        grown = full_grown(own)
        steps = grown.first + settling_steps(own) + self.steps + 1
        settings = [
            *self.overrides, *grown.settings, f"train.steps={steps}", f"train.trace_steps={self.steps}",
            "train.log_every=1", f"train.sample_every={NEVER}", f"train.checkpoint_every={NEVER}",
            "wandb.mode=disabled",
        ]  # fmt: skip
        if only_exchanges:  # who computes nothing has no speed to follow, and no player falls behind
            settings += ["cluster.balance=equal"]
            settings += ["objective.balance_margin=0"] * isinstance(own.objective, GANObjectiveSettings)
        return Request(
            self.preset, settings, self.workers, self.address, self.no_ray, "never", None, run_dir, False,
            only_exchanges,
        )  # fmt: skip


@dataclass(frozen=True)
class Grown:
    """How a network is at its last size soon, and how many steps that takes."""

    settings: tuple[str, ...] = ()
    first: int = 0


def full_grown(config: RunConfig) -> Grown:
    if not isinstance(config.model, GrowingSettings):
        return Grown()
    soon = config.model.model_copy(update={"stage_steps": 1, "fade_steps": 0})
    return Grown(("model.stage_steps=1", "model.fade_steps=0"), soon.last_stage_step(config.data.size))


def profile_run(wanted: Wanted, compare: Path | None) -> int:
    """Profile a run; returns the exit code."""
    before = read_before(compare)
    with prepared(wanted.folder) as folder, tempfile.TemporaryDirectory(prefix="gen-dist-profile-") as temporary:
        run_dir = Path(temporary) / "run"
        request = wanted.request(run_dir)
        request.check()
        code = train(request)
        if code:
            return code
        profile = read_run(run_dir, wanted.steps)
        shutil.copy(run_dir / "trace.json", folder)
        write(profile, before, folder)
    print("\n".join(describe(profile, before)))
    print(f"\nprofile: {folder}/profile.html, profile.json; trace.json for ui.perfetto.dev")
    return 0


@contextmanager
def prepared(folder: Path) -> Iterator[Path]:
    """A folder to write to, made now; taken away again, if it was made, unless something was written.

    Raises:
        UserError: it cannot be written to.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        yield folder
    except OSError as error:
        raise UserError(f"--out {folder}: {error.strerror or error}; name a folder that can be written to") from None
    finally:
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def train(request: Request) -> int:
    """What it says while it trains is no part of the profile."""
    with redirect_stdout(sys.stderr):
        if request.no_ray:
            from gen_dist.launch.without_ray import run_without_ray

            return run_without_ray(request)
        from gen_dist.launch.with_ray import run_with_ray

        return run_with_ray(request)


def profile_recorded(run_dir: Path, out: Path | None, compare: Path | None) -> int:
    """What a run's own record says, also while it runs; nothing is started."""
    before = read_before(compare)
    RunFolder.open(run_dir)
    profile = read_run(run_dir, RECORDED_ROWS)
    print("\n".join(describe(profile, before)))
    if out is not None:
        with prepared(out) as folder:
            write(profile, before, folder)
        print(f"\nprofile: {out}/profile.html, profile.json")
    return 0


def read_run(run_dir: Path, most: int) -> Profile:
    """Of the last rows of the record, `most` at most, whose steps all ranks did with the same shares.

    Raises UserError where there are none.
    """
    config = load_config(str(run_dir / "config.yaml"))
    rows = [row for row in read_metrics(run_dir / "metrics.jsonl") if row.get("time")][-most:]
    shares = [from_record(row["time"]).shares for row in rows]
    last = [row for row, share in zip(rows, shares, strict=True) if share == shares[-1]]
    if not last:
        raise UserError(f"run folder '{run_dir}': no steps with times are recorded yet; let it do a few more")
    times, hosts = merge_rows([row["time"] for row in last]), read_hosts(run_dir / "trace.json")
    ranks = from_record(times).ranks
    settings = {key: value for key, value in flatten(config.model_dump()).items() if key not in DECIDED}
    profile = Profile(
        config.preset, settings, [hosts.get(rank, "") for rank in range(ranks)], config.train.batch_size, len(last),
        sum(row["perf/step_seconds"] for row in last) / len(last), times,
    )  # fmt: skip
    found = find_bottleneck(profile.step_times)
    return replace(profile, bottleneck=found.name, advice=advise(found, profile.step_times, config, profile.hosts))


def read_hosts(trace: Path) -> dict[int, str]:
    """By rank, as far as they are known."""
    if not trace.exists():
        return {}
    events = json.loads(trace.read_bytes())["traceEvents"]
    return {event["pid"]: event["args"]["host"] for event in events if event["name"] == "process_name"}


def read_before(compare: Path | None) -> Profile | None:
    """The profile to compare with: its file, or the folder of that."""
    if compare is None:
        return None
    return read_profile(compare / "profile.json" if compare.is_dir() else compare)


def write(profile: Profile, before: Profile | None, folder: Path) -> None:
    (folder / "profile.html").write_text(profile_page(profile, before))
    profile.save(folder / "profile.json")


def describe(profile: Profile, before: Profile | None) -> list[str]:
    lines = ["", *profile_table(profile), ""]
    if len(profile.times) > 1:
        lines += [*phase_table(profile), ""]
    lines.append(f"{1000 * profile.step_seconds:.1f} ms a step, {profile.images_per_second:.4g} images/s")
    lines.append(profile.advice)
    return [*lines, "", *comparison_table(before, profile)] if before else lines


def profile_sweep(wanted: Wanted) -> int:
    """Profile every combination of settings, each in a process of its own, since a process has one Ray cluster."""
    axes, fixed = axes_of(wanted.overrides)
    if not axes:
        raise UserError("--sweep: no setting has several values; give KEY=A,B,C, such as train.microbatch_size=16,32")
    for workers in axes.get("workers", ()):
        parse_workers(workers)
    rates: dict[tuple[Setting, ...], float | str] = {}
    combinations = list(product(*([Setting(key, value) for value in values] for key, values in axes.items())))
    for number, combination in enumerate(combinations, 1):
        print(f"{number} of {len(combinations)}: {' '.join(map(str, combination))}", file=sys.stderr, flush=True)
        rates[combination] = measure_apart(wanted, fixed, combination)
    print("\n".join([*sweep_table(rates), *best_lines(rates)]))
    return 0 if any(isinstance(rate, float) for rate in rates.values()) else 2


def measure_apart(wanted: Wanted, fixed: Sequence[str], combination: Sequence[Setting]) -> float | str:
    """Images per second, or why there are none."""
    workers = next((setting.value for setting in combination if setting.key == "workers"), None)
    wish = parse_workers(workers) if workers else wanted.workers
    with tempfile.TemporaryDirectory(prefix="gen-dist-sweep-") as folder:
        command = [
            sys.executable, "-m", "gen_dist.launch.cli", "profile", wanted.preset, *fixed,
            *(str(setting) for setting in combination if setting.key != "workers"),
            "--steps", str(wanted.steps), "--out", folder,
        ]  # fmt: skip
        command += ["--workers", str(wish)] if wish else []
        command += ["--address", wanted.address] if wanted.address else []
        command += ["--no-ray"] if wanted.no_ray else []
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.startswith("gen-dist: ")]
            return told[-1].removeprefix("gen-dist: ") if told else f"exit code {done.returncode}"
        return read_profile(Path(folder) / "profile.json").images_per_second


def measure_part(wanted: Wanted, what: str) -> int:
    """One part alone."""
    from gen_dist.launch import measuring

    lines: dict[str, Any] = {
        "loader": measuring.loader_alone, "compute": measuring.compute_alone, "reduce": measuring.reduce_alone
    }  # fmt: skip
    print("\n".join(lines[what](wanted)))
    return 0
