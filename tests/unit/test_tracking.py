import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gen_dist.errors import UserError
from gen_dist.events import HealthWarning, Pictures, StepDone
from gen_dist.record import tracked, tracking
from gen_dist.record.metrics import read_metrics
from gen_dist.record.recorder import Recorder
from gen_dist.record.run_folder import RunFolder
from gen_dist.record.tracking import Tracker
from tests.wandb_offline import read_alerts, read_offline

CONFIG = {"seed": 1, "model": {"width": 64, "name": "vae"}, "data": {"path": "x"}}
KEY = "a" * 40
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No credentials, no settings, a server address where nobody listens, and nothing that wandb remembers."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "NETRC"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_BASE_URL", NOWHERE)
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def hooks() -> Iterator[None]:
    before = sys.exit, sys.excepthook
    yield
    assert (sys.exit, sys.excepthook) == before


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG, {"wandb_id": "run12345"})


def record(path: Path, first: int, last: int, **changes: object) -> tuple[Tracker, list[str], Recorder]:
    """Record steps `first` to `last`, every second one logged, a picture every fourth."""
    folder = RunFolder.open(path)
    reports: list[str] = []
    settings = {
        "run_id": folder.info["wandb_id"],
        "name": "smoke-w2",
        "config": folder.config,
        "report": reports.append,
    }
    tracker = Tracker(path, **(settings | changes))
    recorder = Recorder(folder, steps=40, keep_checkpoints=1, tracker=tracker, progress=None)
    for step in range(first, last + 1):
        if step % 2 == 0 or step == 1:
            recorder.handle(StepDone(step, {"loss": 1 / step}, {"images_per_second": 10.0}))
        if step % 4 == 0:
            recorder.handle(Pictures(step, "samples", np.full((4, 8, 8, 3), step, np.uint8), 2))
    return tracker, reports, recorder


KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.unit.test_tracking import record
tracker, reports, recorder = record(Path(sys.argv[1]), 9, 18)
while not (tracker.folder and tracker._queue.empty()):
    time.sleep(0.05)
print(tracker._service.pid, flush=True)
os.kill(os.getpid(), int(sys.argv[2]))
"""


def alive(pid: int) -> bool:
    """Whether the process runs; one that waits for its parent to collect it does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def ended(pid: int) -> bool:
    until = time.monotonic() + 10
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pid)


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_resumed_twice_is_recorded_once(run: RunFolder, killed_by: signal.Signals) -> None:
    """The first process ends in order, the second is killed, the third goes back to a checkpoint before that."""
    first, reports, recorder = record(run.path, 1, 9)
    recorder.handle(HealthWarning(9, "posterior collapse", "posterior collapse since step 5"))
    recorder.close("stopped", exit_code=130)
    assert reports == []
    assert first._service is not None
    assert first._service.returncode is not None, "W&B's process was left, or left uncollected"

    command = [sys.executable, "-c", KILLED, run.path, str(killed_by.value)]
    with tempfile.TemporaryDirectory() as scratch:  # wandb's own temporary folders outlive a killed process
        here, environ = Path(__file__).parents[2], os.environ | {"TMPDIR": scratch}
        killed = subprocess.run(command, cwd=here, env=environ, stdout=subprocess.PIPE, check=False)
        assert killed.returncode == -killed_by
        assert ended(int(killed.stdout))

    last, reports, recorder = record(run.path, 13, 25)
    recorder.close("finished")
    assert reports == []

    folders = sorted((run.path / "wandb").glob("offline-run-*"))
    assert folders == [first.folder, last.folder]
    assert str(run.path / "wandb") in last.summary
    alert = ("posterior collapse", "posterior collapse since step 5", "WARN")
    assert [read_alerts(folder) for folder in folders] == [[alert], []]
    rows, files = [], []
    for folder in folders:
        config, some_rows, some_files = read_offline(folder)
        assert config == CONFIG
        rows += some_rows
        files += some_files
    metrics = read_metrics(run.path / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, *range(2, 25, 2)]
    logged = [row for row in rows if "train/loss" in row]
    assert [row["_step"] for row in logged] == [row["step"] for row in metrics]
    assert [row["train/loss"] for row in logged] == [row["train/loss"] for row in metrics]
    assert all(row["perf/images_per_second"] == 10.0 for row in logged)

    pictured = [row["_step"] for row in rows if "samples" in row or "samples.path" in row]
    assert pictured == [4, 8, 12, 16, 20, 24]
    originals = [(run.path / "samples" / f"step-{step:08d}.png").read_bytes() for step in pictured]
    assert sorted(path.read_bytes() for path in files) == sorted(originals)


@pytest.mark.usefixtures("hooks")
def test_a_start_that_fails_stops_nothing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    called = []

    def broken(**options: object) -> None:
        called.append(options)
        raise RuntimeError("no\nW&B today")

    monkeypatch.setattr(wandb, "init", broken)
    tracker, reports, recorder = record(run.path, 1, 6, mode="offline")
    tracker._thread.join(20)
    recorder.handle(StepDone(8, {"loss": 1.0}, {}))
    recorder.close("finished")
    assert called
    assert reports == ["W&B: RuntimeError: no W&B today; training goes on without it"]
    assert [row["step"] for row in read_metrics(run.path / "metrics.jsonl")] == [1, 2, 4, 6, 8]
    assert tracker.summary == "W&B: not recorded"
    assert tracker._queue.qsize() <= 12, "what comes after a failure is dropped"
    assert tracker._service is not None
    assert tracker._service.returncode is not None


@pytest.mark.usefixtures("hooks")
def test_a_process_that_hangs_is_ended(run: RunFolder) -> None:
    tracker, reports, recorder = record(run.path, 1, 6)
    while tracker.folder is None:
        time.sleep(0.02)
    assert tracker._service is not None
    os.kill(tracker._service.pid, signal.SIGSTOP)
    tracker.finish(0, timeout=0.2)
    recorder.close("finished")
    assert reports == ["W&B: not done after 0.2 s; training goes on without it"]
    assert tracker._service.returncode is not None
    assert not tracker._thread.is_alive()


def test_switched_off_means_nothing_is_started(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker, _, recorder = record(run.path, 1, 6, mode="disabled")
    assert not tracker._thread.is_alive()
    recorder.close("finished")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker, reports, recorder = record(run.path, 7, 8)
    assert not tracker._thread.is_alive()
    recorder.close("finished")
    assert reports == []
    assert list((run.path / "wandb").iterdir()) == []


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = SimpleNamespace(mode="online", base_url="http://nowhere.invalid")
    assert tracking._mode("auto", usual) == "offline"
    Path(os.environ["NETRC"]).write_text(f"machine nowhere.invalid\n  login user\n  password {KEY}\n")
    Path(os.environ["NETRC"]).chmod(0o600)
    assert tracking._mode("auto", usual) == "online"
    Path(os.environ["NETRC"]).unlink()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert tracking._mode("auto", usual) == "online"
    assert tracking._mode("auto", SimpleNamespace(mode="offline", base_url="http://nowhere.invalid")) == "offline"
    assert tracking._mode("offline", usual) == "offline"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tracking._mode("auto", usual) == "offline"
    assert tracking._mode("online", usual) == "online"


@pytest.mark.usefixtures("hooks")
def test_a_server_that_does_not_answer_means_offline(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    tracker, reports, recorder = record(run.path, 1, 6)
    recorder.close("finished")
    assert len(reports) == 1
    assert reports[0].endswith("; recording offline instead")
    assert tracker.folder is not None
    assert [row["_step"] for row in read_offline(tracker.folder)[1]] == [1, 2, 4, 6]


@pytest.mark.usefixtures("hooks")
def test_a_failure_that_cannot_be_reported_still_ends_everything(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback of the thread would be a warning, hence an error of this test."""
    import wandb

    def full(line: str) -> None:
        told.append(line)
        raise UserError(f"run file 'log.txt': cannot be written ({os.strerror(errno.ENOSPC)})")

    def broken(**_: object) -> None:
        raise RuntimeError("no W&B today")

    told: list[str] = []
    monkeypatch.setattr(wandb, "init", broken)
    tracker, _, recorder = record(run.path, 1, 6, mode="offline", report=full)
    tracker._thread.join(20)
    recorder.close("finished")
    assert told == ["W&B: RuntimeError: no W&B today; training goes on without it"]
    assert tracker._service is not None
    assert tracker._service.returncode is not None, "W&B's process was left"


def test_an_alert_that_fails_is_one_line(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise ValueError("no alerts\ntoday")

    monkeypatch.setattr(Tracker, "_start", lambda self: SimpleNamespace(alert=refused, log=lambda *_, **__: None))
    tracker, reports, recorder = record(run.path, 1, 2)
    for _ in range(2):
        recorder.handle(HealthWarning(2, "posterior collapse", "posterior collapse since step 5"))
    tracker._thread.join(20)
    recorder.close("finished")
    assert reports == ["W&B: ValueError: no alerts today; training goes on without it"]
    assert [row["step"] for row in read_metrics(run.path / "metrics.jsonl")] == [1, 2]


def test_pictures_of_the_user_are_not_ours(run: RunFolder) -> None:
    for name in ("step-x.png", "step-.png", "step-00000004 (copy).png", "step-00000004.png", "other.png"):
        (run.path / "samples" / name).touch()
    assert tracked.recorded(run.path) == ([], [(4, "samples", run.path / "samples" / "step-00000004.png")])
