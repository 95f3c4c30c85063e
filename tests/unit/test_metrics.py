import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gen_dist.errors import UserError
from gen_dist.record.metrics import MetricsFile, read_metrics

Open = Callable[[Path], MetricsFile]

TAILS = {
    "half": b'{"step": 30, "train/lo',
    "no newline": b'{"step": 30}',
    "zeros": b"\0" * 50,
    "zero line": b"\0" * 50 + b"\n",
    "not UTF-8": b"\xff\n",
}


def written(path: Path, *steps: int) -> Path:
    metrics = MetricsFile(path)
    for step in steps:
        assert metrics.append(step, {"train/loss": step / 3, "perf/images_per_second": 10})
    metrics.close()
    return path


@pytest.fixture
def opened() -> Iterator[Open]:
    files = []

    def open_one(path: Path) -> MetricsFile:
        files.append(MetricsFile(path))
        return files[-1]

    yield open_one
    for file in files:
        file.close()


def test_one_object_per_step(tmp_path: Path) -> None:
    path = written(tmp_path / "m", 1, 10, 20)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == read_metrics(path)
    assert rows[1] == {"step": 10, "train/loss": 10 / 3, "perf/images_per_second": 10.0}


def test_a_step_is_recorded_once(tmp_path: Path, opened: Open) -> None:
    path = written(tmp_path / "m", 1, 10, 20)
    metrics = opened(path)
    assert metrics.last_step == 20
    assert not metrics.append(20, {"train/loss": 9.0})
    assert not metrics.append(10, {"train/loss": 9.0})
    assert metrics.append(30, {"train/loss": 9.0})
    assert [row["step"] for row in read_metrics(path)] == [1, 10, 20, 30]


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
def test_a_torn_tail_is_cut_off(tmp_path: Path, tail: bytes, opened: Open) -> None:
    path = written(tmp_path / "m", 1, 10)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert [row["step"] for row in read_metrics(path)] == [1, 10]  # reading alone repairs nothing
    assert path.read_bytes() == whole + tail
    metrics = opened(path)
    assert metrics.last_step == 10
    assert path.read_bytes() == whole
    assert metrics.append(30, {})
    assert [row["step"] for row in read_metrics(path)] == [1, 10, 30]


@pytest.mark.parametrize(("last", "kept"), [(0, []), (9, []), (10, [10]), (25, [10, 20]), (30, [10, 20, 30])])
def test_steps_after_the_checkpoint_are_recorded_anew(last: int, kept: list[int], tmp_path: Path) -> None:
    path = written(tmp_path / "metrics.jsonl", 10, 20, 30)
    metrics = MetricsFile(path, last)
    assert metrics.last_step == max(kept, default=0)
    assert metrics.append(31, {"state_hash": "ab", "train/loss": 1})
    metrics.close()
    rows = read_metrics(path)
    assert [row["step"] for row in rows] == [*kept, 31]
    assert rows[-1] == {"step": 31, "state_hash": "ab", "train/loss": 1.0}


def test_damage_before_the_tail_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "m", 1, 10, 20)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{oops\n" + lines[2])
    for call in (MetricsFile, read_metrics):
        with pytest.raises(UserError, match="line 2 is damaged"):
            call(path)
    path.write_bytes(lines[1] + lines[0] + lines[2])
    with pytest.raises(UserError, match="line 2 is damaged"):
        read_metrics(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float, opened: Open) -> None:
    metrics = opened(tmp_path / "m")
    with pytest.raises(ValueError, match="JSON"):
        metrics.append(1, {"train/loss": value})
    assert metrics.append(1, {"train/loss": 1.0})
    assert len(read_metrics(tmp_path / "m")) == 1


def test_no_file_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "m") == []


def test_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        MetricsFile(tmp_path)


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    metrics = opened(tmp_path / "m")
    metrics.append(1, {})
    real, calls = metrics._file, []

    class Full:
        def write(self, data: bytes) -> int:
            calls.append(data)
            if len(calls) == 1:
                return real.write(data[:5])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def truncate(self, size: int) -> int:
            return real.truncate(size)

    with monkeypatch.context() as patch:
        patch.setattr(metrics, "_file", Full())
        with pytest.raises(UserError, match=r"No space left.*free some room"):
            metrics.append(2, {})
    assert len(calls) == 2
    assert metrics.append(2, {})
    assert read_metrics(tmp_path / "m") == [{"step": 1}, {"step": 2}]
