import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gen_dist.errors import UserError
from gen_dist.launch.comparing import (
    describe_checkpoint,
    describe_comparison,
    describe_losses,
    describe_settings,
    describe_steps,
    print_difference,
)
from gen_dist.record.checkpoints import write_checkpoint
from gen_dist.record.comparison import ABSENT, CheckpointDifference, SettingDifference, compare_losses, compare_runs
from gen_dist.record.run_record import read_run
from tests.small_runs import CONFIG, ROWS, STATE, add_checkpoint, changed, make_run, row


def test_other_settings_alone_leave_runs_identical(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = make_run(tmp_path / "a", ROWS)
    b = make_run(tmp_path / "b", ROWS, CONFIG | {"seed": 7, "preset": "other"})
    assert print_difference(a, b) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "settings  2 differ, * decides the result",
        "          * seed    0      7",
        "            preset  smoke  other",
        "losses    steps 1 to 3 in both, all equal",
        "hashes    no step in common",
        "verdict   identical in all that both recorded (3 steps, 0 state hashes)",
    ]


def test_differing_runs_are_told_in_full(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", ROWS), make_run(tmp_path / "b", [ROWS[0], row(2, 2.5), row(3, 1.0)])
    add_checkpoint(a, 3, "x")
    add_checkpoint(b, 3, "y", changed("g.w", np.full(3, 0.5, np.float32)))
    assert describe_comparison(compare_runs(read_run(a), read_run(b))) == [
        "settings  all equal",
        "losses    steps 1 to 3 in both, different first at step 2",
        "          first: loss at step 2, relative difference 2.0e-01",
        "            a 2.0",
        "            b 2.5",
        "          largest: loss at step 3, relative difference 6.7e-01",
        "            a 3.0",
        "            b 1.0",
        "hashes    step 3 in both, different first at step 3, none equal before",
        "tensors   in the checkpoints of step 3, the first that differs:",
        "            weights.safetensors: g.w",
        "            largest absolute difference 0.5",
        "verdict   different, first at step 2",
    ]


def test_words_for_rare_findings() -> None:
    assert "first and largest: x at step 1" in describe_losses(compare_losses({1: {"x": 1.0}}, {1: {"x": 2.0}}))[1]
    assert describe_losses(compare_losses({1: {"x": 1.0}}, {1: {"y": 2.0}}))[1:] == [
        "first: x at step 1", "  a 1.0", "  b missing", "only in a: x", "only in b: y",
    ]  # fmt: skip
    assert describe_checkpoint(CheckpointDifference(4, None))[0].endswith("the two hashes were not made alike")
    other = (
        SettingDifference("train.x", None, ABSENT, False),
        SettingDifference("data_hash", "ab" * 32, "cd" * 32, True),
    )
    assert describe_settings(other, 80)[1:] == ["  train.x    null          (missing)",
                                                "* data_hash  abababababab  cdcdcdcdcdcd"]  # fmt: skip
    path = SettingDifference("data.path", "p" * 70, "a\nb", False)
    assert describe_settings((path,), 60)[1:] == ["  data.path", "    a " + "p" * 70, '    b "a\\nb"']


@pytest.mark.parametrize(
    ("steps", "text"),
    [([], "no steps"), ([7], "step 7"), ([3, 1, 2], "steps 1 to 3"), ([1, 10, 20], "steps 1, 10, 20"),
     ([1, *range(10, 60, 10)], "steps 1, 10, 20 .. 50 (6 in all)")],
)  # fmt: skip
def test_describe_steps(steps: list[int], text: str) -> None:
    assert describe_steps(steps) == text


def test_a_terminal_is_never_wider_than_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a = make_run(tmp_path / "a", ROWS)
    b = make_run(
        tmp_path / "b", [ROWS[0] | {f"train/{'long' * 5}{i}": 0.1 for i in range(9)}], {"data": {"path": "y" * 99}}
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert print_difference(a, b) == 1
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert "y" * 99 in "".join(out.split())
    assert "verdict   different, first at step 1" in out


def bad_folder(path: Path, how: str) -> Path:
    match how:
        case "absent":
            return path
        case "no run":
            path.mkdir()
            return path
    run = make_run(path, ROWS)
    state = add_checkpoint(run, 3, "x") / "state.json"
    match how:
        case "config":
            (run / "config.yaml").write_text("- no mapping")
        case "metrics":
            (run / "metrics.jsonl").write_text('{"oops\n{"step": 2}\n')
        case "state absent":
            state.unlink()
        case _ if how.startswith("state"):
            state.write_text(how.partition(" ")[2])
        case _:
            (run / "metrics.jsonl").write_text(f'{{"step": 5, {how}}}\n')
    return run


BAD = {
    "absent": "no such folder",
    "no run": "holds no run",
    "config": "config.yaml': is damaged",
    "metrics": "line 1 is damaged",
    "state absent": "state.json': cannot be read (No such file or directory); restore it",
    "state {": "state.json': is damaged",
    "state []": "state.json': is damaged",
    'state {"step": "3", "hash": "x"}': "state.json': is damaged",
    'state {"step": 3, "hash": 4}': "state.json': is damaged",
    '"train/x": "high"': "at step 5, train/x is 'high', must be a finite number; remove that line",
    '"train/x": NaN': "train/x is nan",
    '"train/x": -Infinity': "train/x is -inf",
    '"train/x": true': "train/x is True",
    f'"train/x": 1{"0" * 400}': "must be a finite number",
    '"state_hash": 4': "state_hash is 4, must be a string",
}


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("side", [0, 1])
def test_bad_runs_are_refused(how: str, side: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = make_run(tmp_path / "good", ROWS), bad_folder(tmp_path / "bad", how)
    with pytest.raises(UserError) as error:
        print_difference(*((good, bad) if side else (bad, good)))
    assert BAD[how] in str(error.value)
    assert "bad" in str(error.value)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


def test_a_corrupt_checkpoint_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    a, b = (make_run(tmp_path / name, ROWS) for name in "ab")
    add_checkpoint(a, 2, "x")
    weights = add_checkpoint(b, 2, "y") / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(UserError, match=r"weights.safetensors': is corrupt"):
        print_difference(a, b)
    torn = {"state.json": json.dumps(STATE | {"step": 2, "hash": "y"}).encode(), "weights.safetensors": b"pickle"}
    write_checkpoint(b, 2, torn, keep=1)
    with pytest.raises(UserError, match=r"weights.safetensors': holds no tensors"):
        print_difference(a, b)


@pytest.mark.parametrize(
    ("rows", "hint"),
    [(ROWS[1:], "(step 1; steps 2 to 3); train both with the same train.log_every"), ([], "no steps); train ")],
)
def test_runs_with_nothing_in_common_are_refused(rows: list[dict[str, Any]], hint: str, tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a", ROWS[:1]), make_run(tmp_path / "b", rows)
    with pytest.raises(UserError) as error:
        print_difference(a, b)
    assert "no step in common" in str(error.value)
    assert hint in str(error.value)


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", ROWS)
    (tmp_path / "b").symlink_to(run)
    with pytest.raises(UserError, match="the same folder as RUN_A"):
        print_difference(run, tmp_path / "b")


def test_comparing_needs_no_torch(tmp_path: Path) -> None:
    runs = [str(make_run(tmp_path / name, ROWS)) for name in "ab"]
    for run, digest in zip(runs, "xy", strict=True):
        add_checkpoint(Path(run), 2, digest)
    code = (
        "import sys; from pathlib import Path; from gen_dist.launch.comparing import print_difference as p; "
        f"assert p(*map(Path, {runs})) == 1; assert not {{'torch', 'ray', 'wandb'}} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "all equal: the two hashes were not made alike" in done.stdout
