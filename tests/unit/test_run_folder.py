import fcntl
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from gen_dist.errors import UserError
from gen_dist.record.run_folder import RunFolder, default_run_path

CONFIG = {"seed": 3, "train": {"steps": 5, "rate": 2e-4}, "data": {"path": "Bilder/ä"}}


def make(path: Path) -> RunFolder:
    return RunFolder.create(path, CONFIG, {"preset": "smoke"})


def one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_a_new_folder_explains_itself(tmp_path: Path) -> None:
    make(tmp_path / "runs" / "a").unlock()
    run = RunFolder.open(tmp_path / "runs" / "a")
    assert yaml.safe_load((run.path / "config.yaml").read_text()) == CONFIG == run.config
    assert run.info["preset"] == "smoke"
    assert {"id", "wandb_id", "created", "version"} < run.info.keys()
    assert {"checkpoints", "samples", "wandb"} <= {entry.name for entry in run.path.iterdir()}
    assert run.status() == {}


def test_given_identity_is_kept(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", CONFIG, {"id": "x1", "wandb_id": "w1"})
    assert (run.info["id"], run.info["wandb_id"]) == ("x1", "w1")


def test_refuses_a_folder_with_a_run_or_anything_else(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(UserError) as error:
        make(tmp_path / "a")
    one_line(error, str(tmp_path / "a"), "already holds a run")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "config.yaml").write_text("mine")
    with pytest.raises(UserError) as error:
        make(tmp_path / "b")
    one_line(error, "is not empty")
    assert (tmp_path / "b" / "config.yaml").read_text() == "mine"


def test_refuses_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserError) as error:
            make(path)
        one_line(error, str(path), "file in the way")


def test_refuses_what_cannot_be_written(tmp_path: Path) -> None:
    path = Path("/proc/run")
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        path = tmp_path / "run"
    elif not Path("/proc/self").exists():
        pytest.skip("root may write anywhere, and there is no /proc to be refused by")
    with pytest.raises(UserError) as error:
        make(path)
    one_line(error, str(path), "cannot be written")


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError) as error:
            RunFolder.open(path)
        one_line(error, str(path), "give the folder of a run")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    (run.path / "run.json").write_text("{")
    with pytest.raises(UserError) as error:
        _ = run.info
    one_line(error, "run.json", "is damaged")


def test_status_keeps_what_is_not_given(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    run.set_status("running", step=3, steps=10)
    run.set_status("failed", message="no luck")
    found = json.loads((run.path / "status.json").read_text())
    assert found == run.status()
    assert {
        "state": "failed",
        "step": 3,
        "steps": 10,
        "message": "no luck",
        "pid": os.getpid(),
    }.items() <= found.items()
    assert {"host", "updated"} < found.keys()
    assert not list(run.path.glob(".*.tmp"))


def test_a_damaged_status_is_replaced(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    (run.path / "status.json").write_bytes(b"\0\0")
    run.set_status("running", step=1)
    assert run.status()["step"] == 1


def test_stop_request(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    assert not run.stop_requested()
    RunFolder.open(run.path).request_stop()
    assert run.stop_requested()
    run.clear_stop()
    run.clear_stop()
    assert not run.stop_requested()


def test_log_lines_carry_the_time(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    run.log("one")
    run.log("two\nthree")
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["one", "two", "three"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", line) for line in lines)


def test_only_one_writer(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    assert RunFolder.open(run.path).locked()
    code = (
        "import sys; from gen_dist.record.run_folder import RunFolder; from gen_dist.errors import UserError\n"
        "try: RunFolder.open(sys.argv[1]).lock()\n"
        "except UserError as error: print(error)\n"
        "else: print('locked')"
    )

    def second() -> str:
        return subprocess.check_output([sys.executable, "-c", code, run.path], text=True)

    refused = second()
    assert f"process {os.getpid()} on " in refused
    assert "gen-dist stop" in refused
    run.unlock()
    assert not RunFolder.open(run.path).locked()
    assert second() == "locked\n"
    run.lock()  # the other process is gone, and its lock with it
    assert run.locked()


def test_default_paths_are_unique(tmp_path: Path) -> None:
    paths = set()
    for _ in range(3):
        path = default_run_path(tmp_path, "configs/my run.yaml")
        assert re.fullmatch(r"my-run-\d{8}-\d{6}(-\d+)?", path.name)
        path.mkdir()
        paths.add(path)
    assert len(paths) == 3


def test_who_asks_whether_there_is_a_writer_does_not_keep_one_away(tmp_path: Path) -> None:
    run = make(tmp_path / "a")
    run.unlock()
    with open(run.path / "lock") as asking:  # as `locked` does, only longer
        fcntl.flock(asking, fcntl.LOCK_SH)
        leaving = threading.Timer(0.2, fcntl.flock, (asking, fcntl.LOCK_UN))
        leaving.start()
        try:
            run.lock()
        finally:
            leaving.join()
    assert RunFolder.open(run.path).locked()
