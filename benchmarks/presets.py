"""Every preset as it is, but for its length: 30 steps at its own size, width and batch, by two Ray workers.

Each run goes through the command line: 20 steps, then on to 30 from the checkpoint, then 16 images drawn. Its losses
must be finite and change, and every step must be in the record once. What came of a preset is a file in the folder
`--out`: started again, it goes on with those that have none, or one of other settings. The pictures are the bundled
emoji scaled to the preset's size, grey where it trains on grey ones, or the user's: `--data mnist=FOLDER` for all
presets whose `data.path` is mnist, `--data folder=FOLDER` for all that take any folder, `--data PRESET=FOLDER` for one.
"""

import argparse
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.launch import describe_machine
from benchmarks.processes import Memory
from benchmarks.training_run import GEN_DIST, CommandFailed, run_command
from gen_dist.config import RunConfig
from gen_dist.data.bundled import BUNDLED, Sheet
from gen_dist.errors import UserError
from gen_dist.models.build import count_parameters
from gen_dist.preparing.resolving import channels_of, resolve_data
from gen_dist.presets import load_config, preset_names
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint

STEPS = 30
FIRST_PART = 2 / 3  # of the steps, before it is ended and goes on
DRAWN = 16
LONGEST_SECONDS = 3600.0  # for each part of a run
ANY_FOLDER = "folder"  # instead of a name, the presets that leave data.path to the user


@dataclass(frozen=True)
class Result:
    """What came of a preset; `settings` is a hash of all that it was run with."""

    settings: str
    preset: str
    data: str
    batch_size: int
    parameters: dict[str, int]  # by module
    seconds: float  # all commands together
    step_seconds: float  # the median
    gigabytes: float  # the most that all processes together held
    first: dict[str, float]
    last: dict[str, float]


class Wrong(Exception):
    """A run that ended in order, but is not what it should be."""


@dataclass(frozen=True)
class Task:
    preset: str
    data: str  # for data.path
    config: RunConfig
    overrides: tuple[str, ...]
    steps: int

    @property
    def settings(self) -> str:
        return hashlib.sha256(f"{self.config!r} {self.steps}".encode()).hexdigest()[:16]


def plan(preset: str, data: Mapping[str, str], pictures: Path, steps: int) -> Task:
    """How `preset` is run. `data`: what the user has; `pictures`: the file for all other presets."""
    own = load_config(preset).data.path
    path = data.get(preset) or data.get(own or ANY_FOLDER) or (own if own.startswith(BUNDLED) else str(pictures))
    overrides = (f"data.path={path}", f"train.sample_every={steps}", f"train.checkpoint_every={steps}",
                 "train.log_every=1", "wandb.mode=disabled")  # fmt: skip
    return Task(preset, path, load_config(preset, overrides), overrides, steps)


def run(task: Task) -> Result:
    """Train, go on, draw.

    Raises:
        CommandFailed: a command failed or left processes behind.
        Wrong: its record is not what it should be.
        UserError: the data cannot be used.
    """
    memory, part = Memory(), round(task.steps * FIRST_PART)
    resolve_data(task.config.data, print)  # prepared before the clock starts
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gb-") as base:
        folder, drawn = Path(base) / "run", Path(base) / "drawn.png"
        command("train", task.preset, "--run-dir", folder, *task.overrides, *way(part), memory=memory)
        before = hash_of_checkpoint(folder, part)
        command("train", "--resume", folder, *way(task.steps), memory=memory)
        if hash_of_checkpoint(folder, task.steps) == before:
            raise Wrong("the weights after the last step are those it went on from")
        command("generate", folder, "--count", DRAWN, "--out", drawn, memory=memory)
        seconds = time.perf_counter() - started
        losses, step_seconds = check_record(folder, task.steps)
    parameters = count_parameters(task.config, channels_of(task.config.data))
    return Result(
        task.settings, task.preset, task.data, task.config.train.batch_size, parameters, round(seconds, 1),
        round(step_seconds, 3), round(memory.peak / 1e9, 2), losses[0], losses[-1],
    )  # fmt: skip


def way(steps: int) -> list[str]:
    return ["--workers", "2", f"train.steps={steps}"]


def command(*arguments: object, memory: Memory) -> None:
    run_command([sys.executable, *GEN_DIST, *map(str, arguments)], LONGEST_SECONDS, memory)


def hash_of_checkpoint(folder: Path, step: int) -> str:
    """Of the state in the newest one, whose files must be whole."""
    path = latest_checkpoint(folder)
    facts = json.loads(read_checkpoint(path)["state.json"]) if path else {"step": None}
    if facts["step"] != step:
        raise Wrong(f"its newest checkpoint is of step {facts['step']}, not {step}")
    return facts["hash"]


def check_record(folder: Path, steps: int) -> tuple[list[dict[str, float]], float]:
    """The losses at each step, and the median of the steps' seconds."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    if [row["step"] for row in rows] != list(range(1, steps + 1)):
        raise Wrong(f"its record does not have each of {steps} steps once")
    for row in rows:
        for key, value in row.items():
            if key.startswith("train/") and not math.isfinite(value):
                raise Wrong(f"{key} is {value} at step {row['step']}")
    losses = [{key: row[key] for key in row if key.endswith("loss")} for row in rows]
    for key in losses[0]:
        if len({row[key] for row in losses if key in row}) < 2:
            raise Wrong(f"{key} never changes")
    return losses, float(np.median([row["perf/step_seconds"] for row in rows]))


def saved(file: Path, task: Task) -> Result | None:
    """What an earlier call found out, if it is of these settings."""
    if not file.exists():
        return None
    result = Result(**json.loads(file.read_text()))
    return result if result.settings == task.settings else None


def table(results: Sequence[Result]) -> list[str]:
    lines = ["| preset | parameters | batch | seconds a step | seconds in all | memory, GB | losses, first and last |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for one in results:
        parameters = " + ".join(f"{count / 1e6:.2f} M" for count in one.parameters.values())
        losses = ", ".join(
            f"{key.removeprefix('train/').removesuffix('_loss')} {value:.4g} → {one.last.get(key, math.nan):.4g}"
            for key, value in one.first.items()
        )
        lines.append(
            f"| {one.preset} | {parameters} | {one.batch_size} | {one.step_seconds} | {one.seconds:.0f} | "
            f"{one.gigabytes} | {losses} |"
        )
    return lines


def emoji_file(folder: Path) -> Path:
    """The bundled pictures as an array file, which `data.path` takes at any size."""
    file = folder.absolute() / "emoji.npy"
    if not file.exists():
        np.save(file, Sheet.read("emoji").tiles())
    return file


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("presets", nargs="*", default=preset_names(), help="default: all")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=Path("runs/presets"), help="folder of the results")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="pictures of your own")
    options = parser.parse_args(arguments)
    unknown = set(options.presets) - set(preset_names())
    if unknown:
        parser.error(f"no such preset: {', '.join(sorted(unknown))}; 'gen-dist configs' lists them")
    if any("=" not in one for one in options.data):
        parser.error("--data: must be NAME=PATH, such as --data mnist=/data/mnist")
    if options.steps < 3:
        parser.error("--steps: at least 3, to end a run, go on and see the losses change")
    return options


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = dict(one.split("=", 1) for one in options.data)
    pictures, results, failed = emoji_file(options.out), [], []
    print(describe_machine())
    for preset in options.presets:
        task, file = plan(preset, data, pictures, options.steps), options.out / f"{preset}.json"
        result = saved(file, task)
        if result is None:
            print(f"{preset} …", flush=True)
            try:
                result = run(task)
            except (CommandFailed, Wrong, UserError) as error:
                print(f"{preset}: FAILED: {error}", flush=True)
                failed.append(preset)
                continue
            file.write_text(json.dumps(asdict(result), indent=1) + "\n")
        results.append(result)
    print("\n".join(table(results)))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
