"""`gen-dist diff`: say in which settings, losses, state hashes and tensors two runs differ, and from which step on."""

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Sequence
from pathlib import Path

from gen_dist.errors import UserError
from gen_dist.record.comparison import (
    ABSENT,
    CheckpointDifference,
    Comparison,
    HashComparison,
    LossComparison,
    LossDifference,
    SettingDifference,
    compare_runs,
)
from gen_dist.record.run_record import RunRecord, read_run

INDENT = 10  # width of the column that says what a line is about
LEAST_WIDTH = 40  # in a terminal narrower than that, lines may break anywhere
UNLIMITED = sys.maxsize


def print_difference(a: Path, b: Path) -> int:
    """Print how the runs in the folders `a` and `b` differ. Returns the exit code: 0 identical, 1 different.

    Raises:
        UserError: one of them is no run or damaged, both are the same, or they have no step in common.
    """
    runs = read_run(a), read_run(b)
    if os.path.samefile(a, b):
        raise UserError(f"RUN_B '{b}': the same folder as RUN_A '{a}'; give the folders of two runs")
    found = compare_runs(*runs)
    if found.verdict == "nothing to compare":
        raise UserError(nothing_in_common(a, b, *runs))
    width = max(shutil.get_terminal_size().columns, LEAST_WIDTH) if sys.stdout.isatty() else UNLIMITED
    heading = [
        f"{name:{INDENT}}{path}, {describe_steps(run.losses)}"
        for name, path, run in zip("ab", (a, b), runs, strict=True)
    ]
    for line in [*heading, *describe_comparison(found, width)]:
        print(*textwrap.wrap(line, width, subsequent_indent=" " * (INDENT + 2), break_on_hyphens=False), sep="\n")
    return 0 if found.verdict == "identical" else 1


def nothing_in_common(a: Path, b: Path, run_a: RunRecord, run_b: RunRecord) -> str:
    has_a, has_b = (describe_steps(run.losses.keys() | run.hashes.keys()) for run in (run_a, run_b))
    empty = [str(path) for path, run in ((a, run_a), (b, run_b)) if not run.losses and not run.hashes]
    hint = f"train {' and '.join(empty)} first" if empty else "train both with the same train.log_every, or one further"
    return f"runs '{a}' and '{b}': no step in common ({has_a}; {has_b}); {hint}"


def describe_comparison(found: Comparison, width: int = UNLIMITED) -> list[str]:
    """The findings as lines, the verdict last; settings are laid out for lines of `width` characters."""
    return [
        *entry("settings", describe_settings(found.settings, width - INDENT)),
        *entry("losses", describe_losses(found.losses)),
        *entry("hashes", describe_hashes(found.hashes)),
        *entry("tensors", describe_checkpoint(found.checkpoint) if found.checkpoint else []),
        *entry("verdict", [describe_verdict(found)]),
    ]


def entry(name: str, lines: Sequence[str]) -> list[str]:
    return [f"{'' if number else name:{INDENT}}{line}" for number, line in enumerate(lines)]


def describe_settings(differing: Sequence[SettingDifference], width: int) -> list[str]:
    """One line each; three where the values do not fit beside the name."""
    if not differing:
        return ["all equal"]
    rows = [("*" if d.decides else " ", d.key, shown(d.key, d.a), shown(d.key, d.b)) for d in differing]
    key_width = max(len(key) for _, key, _, _ in rows)
    room = width - key_width - 6  # for both values
    width_a = max((len(a) for _, _, a, _ in rows if len(a) <= room // 2), default=0)
    legend = ", * decides the result" if any(difference.decides for difference in differing) else ""
    lines = [f"{len(rows)} differ{'s' if len(rows) == 1 else ''}{legend}"]
    for mark, key, a, b in rows:
        if len(a) <= width_a and len(b) <= room - width_a:
            lines.append(f"{mark} {key:{key_width}}  {a:{width_a}}  {b}")
        else:
            lines += [f"{mark} {key}", f"    a {a}", f"    b {b}"]
    return lines


def describe_losses(losses: LossComparison) -> list[str]:
    if not losses.steps:
        return ["no step in common"]
    over = f"{describe_steps(losses.steps)} in both"
    if losses.first is None:
        return [f"{over}, all equal"]
    lines = [f"{over}, different first at step {losses.first.step}"]
    if losses.first == losses.largest:
        lines += describe_loss("first and largest", losses.first)
    else:
        lines += describe_loss("first", losses.first)
        lines += describe_loss("largest", losses.largest) if losses.largest else []
    lines += [f"only in a: {', '.join(losses.only_a)}"] if losses.only_a else []
    lines += [f"only in b: {', '.join(losses.only_b)}"] if losses.only_b else []
    return lines


def describe_loss(which: str, difference: LossDifference) -> list[str]:
    relative = "" if difference.relative is None else f", relative difference {difference.relative:.1e}"
    values = [
        f"  {side} {'missing' if v is None else repr(v)}" for side, v in (("a", difference.a), ("b", difference.b))
    ]
    return [f"{which}: {difference.name} at step {difference.step}{relative}", *values]


def describe_hashes(hashes: HashComparison) -> list[str]:
    if not hashes.steps:
        return ["no step in common"]
    over = f"{describe_steps(hashes.steps)} in both"
    if hashes.first_different is None:
        return [f"{over}, all equal"]
    before = "none equal before" if hashes.last_equal is None else f"last equal at step {hashes.last_equal}"
    return [f"{over}, different first at step {hashes.first_different}, {before}"]


def describe_checkpoint(found: CheckpointDifference) -> list[str]:
    where = f"in the checkpoints of step {found.step}"
    if found.tensor is None:
        return [f"{where}, all equal: the two hashes were not made alike"]
    tensor = found.tensor
    how = tensor.how or f"largest absolute difference {tensor.largest:.2g}"
    return [f"{where}, the first that differs:", f"  {tensor.file}: {tensor.name}", f"  {how}"]


def describe_verdict(found: Comparison) -> str:
    if found.first_different is not None:
        return f"different, first at step {found.first_different}"
    return (
        f"identical in all that both recorded ({len(found.losses.steps)} steps, {len(found.hashes.steps)} state hashes)"
    )


def describe_steps(steps: Collection[int]) -> str:
    """Such as "steps 1 to 20", "steps 1, 10, 20 .. 500 (51 of them)"."""
    ordered = sorted(steps)
    if not ordered:
        return "no steps"
    if len(ordered) == 1:
        return f"step {ordered[0]}"
    if len(ordered) == ordered[-1] - ordered[0] + 1:
        return f"steps {ordered[0]} to {ordered[-1]}"
    if len(ordered) <= 4:
        return f"steps {', '.join(map(str, ordered))}"
    return f"steps {', '.join(map(str, ordered[:3]))} .. {ordered[-1]} ({len(ordered)} in all)"


def shown(key: str, value: object) -> str:
    """As in YAML; a hash by its beginning."""
    if value is ABSENT:
        return "(missing)"
    if isinstance(value, str) and value.isprintable() and value:
        return value[:12] if key == "data_hash" else value
    return json.dumps(value, default=str)
