import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from gen_dist.record.checkpoints import write_checkpoint
from gen_dist.record.comparison import (
    ABSENT,
    CheckpointDifference,
    HashComparison,
    LossDifference,
    SettingDifference,
    TensorDifference,
    compare_hashes,
    compare_losses,
    compare_runs,
    compare_settings,
    compare_tensors,
)
from gen_dist.record.run_record import read_run
from tests.small_runs import ROWS, WEIGHTS, add_checkpoint, changed, make_run, row

SETTINGS = {
    "equal": ({"seed": 1, "preset": "p"}, {"preset": "p", "seed": 1}, []),
    "preset": ({"preset": "p"}, {"preset": "q"}, [("preset", "p", "q", False)]),
    "deciding first": (
        {"data.prefetch": 1, "model.width": 2},
        {"data.prefetch": 2, "model.width": 3},
        [("model.width", 2, 3, True), ("data.prefetch", 1, 2, False)],
    ),
    "no part of a name decides": ({"train.steps": 1, "seeds": 1}, {"train.steps": 1}, [("seeds", 1, ABSENT, False)]),
    "missing in a": ({}, {"train.threads": 1}, [("train.threads", ABSENT, 1, True)]),
    "null is not missing": ({"seed": None}, {}, [("seed", None, ABSENT, True)]),
    "path of unknown images": ({"data.path": "x"}, {"data.path": "y"}, [("data.path", "x", "y", True)]),
    "images known of one": ({"data_hash": "1"}, {}, []),
    "same images elsewhere": (
        {"data.path": "x", "data_hash": "1"},
        {"data.path": "y", "data_hash": "1"},
        [("data.path", "x", "y", False)],
    ),
    "other images": ({"data_hash": "1"}, {"data_hash": "2"}, [("data_hash", "1", "2", True)]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings(case: str) -> None:
    a, b, expected = SETTINGS[case]
    assert compare_settings(a, b) == tuple(SettingDifference(*each) for each in expected)


ULP = math.nextafter(1.5, 2)
LOSSES: dict[str, tuple[Any, Any, tuple[int, ...], Any, Any]] = {
    "equal": ({1: {"x": 1.5}}, {1: {"x": 1.5}}, (1,), None, None),
    "one bit": ({1: {"x": 1.5}}, {1: {"x": ULP}}, (1,), (1, "x", 1.5, ULP), (1, "x", 1.5, ULP)),
    "no common step": ({1: {"x": 1.0}}, {2: {"x": 2.0}}, (), None, None),
    "only common steps count": (
        {1: {"x": 9.0}, 2: {"x": 1.0}, 4: {"x": 1.0}}, {2: {"x": 1.0}, 3: {"x": 9.0}, 4: {"x": 2.0}},
        (2, 4), (4, "x", 1.0, 2.0), (4, "x", 1.0, 2.0),
    ),
    "the first as recorded, the largest by size": (
        {1: {"z": 1.0, "a": 1.0}, 2: {"z": -1.0, "a": 1.0}}, {1: {"z": 1.1, "a": 1.2}, 2: {"z": 1.0, "a": 1.0}},
        (1, 2), (1, "z", 1.0, 1.1), (2, "z", -1.0, 1.0),
    ),
    "the earliest of the largest": (
        {1: {"x": 0.0}, 2: {"x": 0.0}}, {1: {"x": 3.0}, 2: {"x": 5.0}},
        (1, 2), (1, "x", 0.0, 3.0), (1, "x", 0.0, 3.0),
    ),
    "a missing value is a difference without a size": (
        {1: {"x": 1.0}, 2: {"x": 1.0}}, {1: {}, 2: {"x": 2.0}}, (1, 2), (1, "x", 1.0, None), (2, "x", 1.0, 2.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOSSES)
def test_losses(case: str) -> None:
    a, b, steps, first, largest = LOSSES[case]
    found = compare_losses(a, b)
    assert found.steps == steps
    assert found.first == (first and LossDifference(*first))
    assert found.largest == (largest and LossDifference(*largest))


def test_names_that_only_one_has_at_the_common_steps() -> None:
    found = compare_losses({1: {"x": 1.0, "y": 1.0}, 2: {"x": 1.0}}, {1: {"x": 1.0, "z": 1.0}, 3: {"y": 1.0}})
    assert (found.only_a, found.only_b) == (("y",), ("z",))


@pytest.mark.parametrize(
    ("a", "b", "relative"),
    [(1.0, 1.0, 0.0), (0.0, 0.0, 0.0), (1.0, 2.0, 0.5), (2.0, 1.0, 0.5), (-1.0, 1.0, 2.0), (1.0, None, None),
     (1.5, ULP, 2**-52 / ULP), (5e-324, 0.0, 1.0)],
)  # fmt: skip
def test_relative_difference(a: float, b: float | None, relative: float | None) -> None:
    assert LossDifference(1, "x", a, b).relative == relative


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({}, {1: "x"}, ((), None, None)),
        ({1: "x", 2: "y"}, {2: "y", 3: "z"}, ((2,), 2, None)),
        ({1: "x", 2: "y", 3: "z"}, {1: "x", 2: "q", 3: "z"}, ((1, 2, 3), 1, 2)),
        ({1: "x"}, {1: "q"}, ((1,), None, 1)),
    ],
)
def test_hashes(a: dict[int, str], b: dict[int, str], expected: tuple[Any, ...]) -> None:
    assert compare_hashes(a, b) == HashComparison(*expected)


TENSORS = {
    "equal": (WEIGHTS, None),
    "one value": (changed("d.w", WEIGHTS["d.w"] - np.float32([0, 0, 0.25])), ("d.w", 0.25, "")),
    "the first by name": (
        changed("d.w", WEIGHTS["d.w"] + np.float32(1)) | {"g.w": np.zeros(3, np.float32)},
        ("d.w", 1.0, ""),
    ),
    "the sign of zero": (changed("d.w", np.float32([[-0.0, 1, 2], [3, 4, 5]])), ("d.w", 0.0, "")),
    "infinities": (changed("g.w", np.float32([1, -np.inf, 1])), ("g.w", np.inf, "")),
    "another shape": (changed("g.w", np.ones(4, np.float32)), ("g.w", None, "shape [3] in a, [4] in b")),
    "another type": (changed("g.w", np.ones(3, np.float64)), ("g.w", None, "float32 in a, float64 in b")),
    "missing": ({"d.w": WEIGHTS["d.w"]}, ("g.w", None, "missing in b")),
    "added": (changed("a", np.ones(1, np.float32)), ("a", None, "missing in a")),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors(case: str, tmp_path: Path) -> None:
    other, expected = TENSORS[case]
    a, b = (add_checkpoint(tmp_path / name, 2, "h", tensors) for name, tensors in (("a", WEIGHTS), ("b", other)))
    assert compare_tensors(a, b) == (expected and TensorDifference("weights.safetensors", *expected))


def test_tensors_of_a_file_that_one_has_not(tmp_path: Path) -> None:
    files = {"state.json": b"{}", "weights.safetensors": save(WEIGHTS)}
    a = write_checkpoint(tmp_path / "a", 1, files, keep=1)
    b = write_checkpoint(tmp_path / "b", 1, files | {"ema.safetensors": save({"g.w": WEIGHTS["g.w"]})}, keep=1)
    assert compare_tensors(a, b) == TensorDifference("ema.safetensors", "g.w", None, "missing in a")


def test_a_run_is_read_with_the_hashes_of_its_checkpoints(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", [row(1, 0.5), row(2, 0.25, state_hash="h2"), {"step": 3, "perf/x": 1.0}])
    add_checkpoint(run, 12, "h12")
    add_checkpoint(run, 3, "h3", data_hash="e" * 64)
    (run / "checkpoints" / "step-notes").write_text("mine")
    found = read_run(run)
    assert found.settings == {
        "preset": "smoke",
        "seed": 0,
        "data.path": "x",
        "data.loader_threads": 1,
        "train.steps": 4,
    }
    assert found.losses == {1: {"loss": 0.5}, 2: {"loss": 0.25}}
    assert list(found.hashes.items()) == [(2, "h2"), (3, "h3"), (12, "h12")]
    assert list(found.checkpoints) == [3, 12]


RUNS: dict[str, tuple[list[dict[str, Any]], dict[int, str], list[dict[str, Any]], dict[int, str], str, int | None]] = {
    "equal losses": (ROWS, {}, ROWS, {}, "identical", None),
    "other speed": (ROWS, {}, [r | {"perf/images_per_second": 1.0} for r in ROWS], {}, "identical", None),
    "one loss": (ROWS, {}, [*ROWS[:2], row(3, 3.1)], {}, "different", 3),
    "one name": (ROWS, {}, [*ROWS[:2], ROWS[2] | {"train/more": 1.0}], {}, "different", 3),
    "hashes of rows": ([row(1, 1.0, state_hash="x")], {}, [row(1, 1.0, state_hash="y")], {}, "different", 1),
    "row and checkpoint": ([row(2, 1.0, state_hash="x")], {}, [row(2, 1.0)], {2: "x"}, "identical", None),
    "hash before loss": (ROWS, {2: "x"}, [*ROWS[:2], row(3, 9.0)], {2: "y"}, "different", 2),
    "checkpoints only": (ROWS[:1], {4: "x"}, ROWS[1:], {4: "x"}, "identical", None),
    "nothing": (ROWS[:1], {1: "x"}, ROWS[1:], {3: "x"}, "nothing to compare", None),
    "empty": ([], {}, [], {}, "nothing to compare", None),
}


@pytest.mark.parametrize("case", RUNS)
def test_verdict(case: str, tmp_path: Path) -> None:
    rows_a, hashes_a, rows_b, hashes_b, verdict, first = RUNS[case]
    records = []
    for name, rows, hashes in (("a", rows_a, hashes_a), ("b", rows_b, hashes_b)):
        run = make_run(tmp_path / name, rows)
        for step, digest in hashes.items():
            add_checkpoint(run, step, digest)
        records.append(read_run(run))
    found = compare_runs(*records)
    assert (found.verdict, found.first_different) == (verdict, first)


def test_tensors_are_compared_at_the_first_checkpoints_that_differ(tmp_path: Path) -> None:
    a, b = (make_run(tmp_path / name, ROWS) for name in "ab")
    for run, late in ((a, "x"), (b, "y")):
        add_checkpoint(run, 1, "same", changed("g.w", np.full(3, len(late) + ord(late), np.float32)))  # not looked at
        add_checkpoint(run, 2, late, changed("g.w", np.full(3, ord(late), np.float32)))
        add_checkpoint(run, 3, late)
    expected = CheckpointDifference(2, TensorDifference("weights.safetensors", "g.w", 1.0))
    assert compare_runs(read_run(a), read_run(b)).checkpoint == expected


def test_tensors_that_are_infinite_in_both(tmp_path: Path) -> None:
    values = np.float32([[np.inf, 1], [np.inf, 2]])
    a, b = (add_checkpoint(tmp_path / name, 2, "h", changed("g.w", v)) for name, v in zip("ab", values, strict=True))
    found = compare_tensors(a, b)
    assert found is not None
    assert found.name == "g.w"
    assert np.isnan(found.largest)
