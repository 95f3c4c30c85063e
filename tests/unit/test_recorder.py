import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.errors import UserError
from gen_dist.events import CheckpointReady, HealthWarning, Message, Pictures, StepDone
from gen_dist.record import recorder as module
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint
from gen_dist.record.metrics import read_metrics
from gen_dist.record.recorder import Recorder
from gen_dist.record.run_folder import RunFolder

PERF = {"images_per_second": 100.0, "data_wait_fraction": 0.1, "step_seconds": 0.5}


class Listener:
    """Stands in for the tracker and the progress display; keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def __getattr__(self, name: str) -> object:
        return lambda *args: self.told.append((name, *args))

    def of(self, name: str) -> list[tuple[object, ...]]:
        return [args for told, *args in self.told if told == name]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"seed": 1}, {"preset": "smoke"})


def recorder(run: RunFolder, **changes: object) -> Recorder:
    settings = {"steps": 25, "keep_checkpoints": 2, "tracker": None, "progress": None}
    return Recorder(run, **(settings | changes))


def due(step: int) -> bool:
    """The steps that a worker has recorded when log_every is 10."""
    return step % 10 == 0 or step in (1, 25)


def train(record: Recorder, first: int, last: int) -> None:
    for step in range(first, last + 1):
        if due(step):
            record.handle(StepDone(step, {"loss": 1 / step}, PERF))


def images(value: int) -> np.ndarray:
    return np.full((4, 8, 8, 3), value, np.uint8)


def test_rows_go_to_the_file_to_wandb_and_to_the_terminal(run: RunFolder) -> None:
    tracker, progress = Listener(), Listener()
    record = recorder(run, tracker=tracker, progress=progress)
    train(record, 1, 25)
    record.close("finished")
    rows = read_metrics(run.path / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 10, 20, 25]
    assert rows[1]["train/loss"] == 0.1
    assert rows[1]["perf/images_per_second"] == 100.0
    assert [args[0] for args in tracker.of("log")] == [1, 10, 20, 25]
    assert tracker.of("log")[1][1] == {key: value for key, value in rows[1].items() if key != "step"}
    assert [args[0] for args in progress.of("update")] == [1, 10, 20, 25]


def test_going_back_records_nothing_twice(run: RunFolder) -> None:
    trackers = []
    for first, last in ((1, 14), (8, 22), (21, 25)):
        trackers.append(Listener())
        record = recorder(run, tracker=trackers[-1])
        for step in range(first, last + 1):
            if due(step):
                record.handle(StepDone(step, {"loss": float(first)}, PERF))
            if step % 10 == 0:
                record.handle(Pictures(step, "samples", images(step), 2))
        record.close("stopped")
    assert [(row["step"], row["train/loss"]) for row in read_metrics(run.path / "metrics.jsonl")] == [
        (1, 1.0), (10, 1.0), (20, 8.0), (25, 21.0),
    ]  # fmt: skip
    assert [args[0] for tracker in trackers for args in tracker.of("log")] == [1, 10, 20, 25]
    assert [args[0] for tracker in trackers for args in tracker.of("picture")] == [10, 20]


def test_pictures_become_files(run: RunFolder) -> None:
    tracker = Listener()
    record = recorder(run, tracker=tracker)
    for kind in ("samples", "reconstructions"):
        record.handle(Pictures(7, kind, images(200), 2))
        with Image.open(run.path / kind / "step-00000007.png") as image:
            assert image.getpixel((image.width // 4, image.height // 4)) == (200, 200, 200)
    paths = [run.path / kind / "step-00000007.png" for kind in ("samples", "reconstructions")]
    assert tracker.of("picture") == [[7, path.parent.name, path] for path in paths]
    with pytest.raises(ValueError, match="kind 'faces'"):
        record.handle(Pictures(7, "faces", images(0), 2))
    record.close("finished")


def test_checkpoints_and_their_metrics_reach_the_disk(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    record = recorder(run)
    order = []
    monkeypatch.setattr(record._metrics, "sync", lambda: order.append("metrics"))
    real = module.write_checkpoint
    monkeypatch.setattr(module, "write_checkpoint", lambda *args: order.append("checkpoint") or real(*args))
    for step in (5, 10, 15):
        record.handle(CheckpointReady(step, {"state.json": b"%d" % step}))
    path = latest_checkpoint(run.path)
    assert path is not None
    assert read_checkpoint(path) == {"state.json": b"15"}
    assert len(list((run.path / "checkpoints").glob("step-*"))) == 2
    assert order[:2] == ["metrics", "checkpoint"]
    record.close("finished")


def test_status_is_current_and_not_written_too_often(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    record = recorder(run)
    assert run.status()["state"] == "running"
    seen = []
    for step in range(1, 8):
        record.handle(StepDone(step, {}, PERF))
        seen.append(run.status()["step"])
        now[0] += 0.4
    assert seen == [1, 1, 1, 4, 4, 4, 7]
    record.handle(StepDone(8, {}, PERF))
    record.close("stopped", "asked to stop", 130)
    status = run.status()
    assert (status["state"], status["step"], status["steps"]) == ("stopped", 8, 25)
    assert status["message"] == "asked to stop"
    assert "stopped: asked to stop" in (run.path / "log.txt").read_text()


def test_messages_are_logged_and_shown(run: RunFolder) -> None:
    progress = Listener()
    record = recorder(run, progress=progress)
    record.handle(Message("two workers"))
    record.close("finished")
    assert (run.path / "log.txt").read_text().splitlines()[0].endswith(" two workers")
    assert ["two workers"] in progress.of("message")


def test_warnings_are_logged_shown_and_alerted(run: RunFolder) -> None:
    tracker, progress = Listener(), Listener()
    for listeners in ({"tracker": tracker, "progress": progress}, {}):
        record = recorder(run, **listeners)
        record.handle(HealthWarning(9, "posterior collapse", "posterior collapse since step 5; try objective.beta=1"))
        record.close("finished")
    line = "warning: posterior collapse since step 5; try objective.beta=1"
    assert [text.endswith(f" {line}") for text in (run.path / "log.txt").read_text().splitlines()] == [True, False] * 2
    assert progress.of("message") == [[line]]
    assert tracker.of("alert") == [["posterior collapse", line.removeprefix("warning: ")]]
    assert read_metrics(run.path / "metrics.jsonl") == []


def test_figures_of_health_are_a_part_of_the_row(run: RunFolder) -> None:
    tracker = Listener()
    record = recorder(run, tracker=tracker)
    record.handle(StepDone(1, {"loss": 1.0}, {}))
    record.handle(StepDone(2, {"loss": 0.5}, {}, health={"active_units": 7.0}))
    record.close("finished")
    rows = [{"step": 1, "train/loss": 1.0}, {"step": 2, "train/loss": 0.5, "health/active_units": 7.0}]
    assert read_metrics(run.path / "metrics.jsonl") == rows
    assert [{"step": step, **row} for step, row in tracker.of("log")] == rows


def test_closing_ends_everything_once(run: RunFolder) -> None:
    tracker, progress = Listener(), Listener()
    record = recorder(run, tracker=tracker, progress=progress)
    record.close("failed", "worker 1 died", 1)
    record.close("finished")
    assert len(tracker.of("finish")) == len(progress.of("close")) == 1
    assert tracker.of("finish")[0][0] == 1
    assert json.loads((run.path / "status.json").read_text())["state"] == "failed"


def test_a_full_disk_fails_the_checkpoint_and_not_the_closing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, progress = Listener(), Listener()
    record = recorder(run, tracker=tracker, progress=progress)
    record.handle(CheckpointReady(5, {"state.json": b"5"}))
    fired = []

    def full(*args: object) -> None:
        fired.append(args)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)  # where the checkpoint's pointer and the status become visible
    with pytest.raises(UserError, match="step-00000005 is intact") as error:
        record.handle(CheckpointReady(10, {"state.json": b"10"}))
    record.close("failed", str(error.value), 2)
    assert len(fired) == 2
    assert "cannot be written" in str(progress.of("message"))
    assert tracker.of("finish")
    path = latest_checkpoint(run.path)
    assert path is not None
    assert read_checkpoint(path) == {"state.json": b"5"}


def test_a_full_disk_fails_a_picture_in_one_line(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    record = recorder(run)

    def full(*args: object, **_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(UserError, match=r"folder '.*/reconstructions': cannot be made \(No space left"):
            record.handle(Pictures(7, "reconstructions", images(0), 2))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"step-00000007.png': cannot be written \(No space left"):
        record.handle(Pictures(7, "samples", images(0), 2))
    record.close("failed")
