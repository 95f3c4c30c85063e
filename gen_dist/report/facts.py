"""A run's folder, read for a report."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gen_dist.config import RunConfig, flatten
from gen_dist.errors import UserError
from gen_dist.evaluating.record import FILE as EVALUATION
from gen_dist.evaluating.record import Record, read_record
from gen_dist.presets import load_config, preset_names
from gen_dist.record.event_log import Happening, read_events
from gen_dist.record.metrics import read_metrics
from gen_dist.record.run_folder import RunFolder
from gen_dist.results.pictures import training_pictures
from gen_dist.yaml_text import inline_yaml

ELSEWHERE = ("preset", "wandb.")  # settings that are not told as changes


@dataclass(frozen=True)
class Change:
    key: str
    preset: object
    run: object


@dataclass(frozen=True)
class RunFacts:
    """`name`: unique among the runs of a report. `rows`: recorded steps, as `metrics.jsonl` has them."""

    name: str
    path: Path
    config: RunConfig
    status: Mapping[str, Any]
    created: str
    rows: list[dict[str, Any]]
    events: list[Happening]
    changes: list[Change]
    repeat: str
    scores: Record | None
    samples: list[Path]
    reconstructions: list[Path]

    @property
    def step(self) -> int:
        return self.rows[-1]["step"] if self.rows else whole(self.status.get("step"))

    @property
    def preset(self) -> str:
        return self.config.preset or "own configuration"


def whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def read_runs(paths: list[Path]) -> list[RunFacts]:
    """Of one or several run folders, which may be under way.

    Raises:
        UserError: no run, or a damaged one, or one given twice.
    """
    found = [read_run(path) for path in paths]
    seen: set[Path] = set()
    for run in found:
        if run.path.resolve() in seen:
            raise UserError(f"RUN {run.path}: given twice; give each run once")
        seen.add(run.path.resolve())
    return with_names(found)


def with_names(runs: list[RunFacts]) -> list[RunFacts]:
    """The folders' names, and as much of where they are as tells them apart."""
    depth = 1
    while len({tuple(run.path.parts[-depth:]) for run in runs}) < len(runs):
        depth += 1
    return [replace(run, name="/".join(run.path.parts[-depth:])) for run in runs]


def read_run(path: Path) -> RunFacts:
    folder = RunFolder.open(path)
    config = load_config(str(folder.path / "config.yaml"))
    changes, repeat = how_to_repeat(config, folder.path)
    return RunFacts(
        name=folder.path.name, path=folder.path, config=config, status=folder.status(),
        created=str(folder.info.get("created", "")), rows=read_metrics(folder.path / "metrics.jsonl"),
        events=read_events(folder.path), changes=changes, repeat=repeat,
        scores=read_record(folder.path / EVALUATION), samples=training_pictures(folder.path, "samples"),
        reconstructions=training_pictures(folder.path, "reconstructions"),
    )  # fmt: skip


def with_config(run: RunFacts, config: RunConfig) -> RunFacts:
    """The same run, told with another configuration."""
    changes, repeat = how_to_repeat(config, Path(run.path.name))
    return replace(run, config=config, changes=changes, repeat=repeat)


def how_to_repeat(config: RunConfig, path: Path) -> tuple[list[Change], str]:
    """In what the run differs from its preset, and the command that makes it again."""
    if config.preset not in preset_names():
        return [], f"gen-dist train {shlex.quote(str(path / 'config.yaml'))}"
    own, base = (flatten(one.model_dump()) for one in (config, load_config(config.preset)))
    keys = [key for key in own if not key.startswith(ELSEWHERE)]
    changes = [Change(key, base.get(key), own[key]) for key in keys if own[key] != base.get(key)]
    settings = [shlex.quote(f"{change.key}={inline_yaml(change.run)}") for change in changes]
    return changes, " ".join(["gen-dist train", config.preset, *settings])
