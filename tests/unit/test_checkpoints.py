import errno
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gen_dist.errors import UserError
from gen_dist.record import checkpoints
from gen_dist.record.checkpoints import latest_checkpoint, read_checkpoint, write_checkpoint

FILES = {"weights.safetensors": bytes(range(256)) * 40, "state.json": b'{"step": 1}'}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def files(step: int) -> dict[str, bytes]:
    return FILES | {"state.json": json.dumps({"step": step}).encode()}


def test_round_trip(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    path = write_checkpoint(tmp_path, 12, FILES, keep=2)
    assert path == tmp_path / "checkpoints" / "step-00000012" == latest_checkpoint(tmp_path)
    assert read_checkpoint(path) == FILES
    assert (tmp_path / "checkpoints" / "latest").read_text() == "step-00000012\n"
    assert names(tmp_path) == ["latest", "step-00000012"]


def test_keeps_the_last(tmp_path: Path) -> None:
    for step in range(10, 60, 10):
        write_checkpoint(tmp_path, step, files(step), keep=2)
    assert names(tmp_path) == ["latest", "step-00000040", "step-00000050"]


def test_going_back_keeps_the_new_one(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        write_checkpoint(tmp_path, step, files(step), keep=3)
    (tmp_path / "checkpoints" / "latest").write_text("step-00000010")
    write_checkpoint(tmp_path, 15, files(15), keep=1)
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoints" / "step-00000015"
    assert names(tmp_path) == ["latest", "step-00000015", "step-00000020", "step-00000030"]
    path = write_checkpoint(tmp_path, 20, files(99), keep=1)  # comes by the same step with other content
    assert read_checkpoint(path) == files(99)
    assert names(tmp_path) == ["latest", "step-00000020", "step-00000030"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "checksums.json"])
def test_only_plain_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        write_checkpoint(tmp_path, 1, {name: b""}, keep=1)


class Injector:
    """Lets every file operation pass but the n-th, which fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail_at: int, code: int) -> None:
        self.calls: Counter[str] = Counter()
        self.fired = False
        self._fail_at, self._code = fail_at, code
        for name in ("fsync", "rename", "replace"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: object) -> object:
        def call(*args: object, **options: object) -> object:
            self.calls[name] += 1
            if self.calls.total() == self._fail_at:
                self.fired = True
                raise OSError(self._code, os.strerror(self._code))
            return real(*args, **options)  # type: ignore[operator]

        return call


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_whatever_fails_the_previous_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, existing: bool
) -> None:
    write_checkpoint(tmp_path, 10, files(10), keep=3)
    if existing:
        write_checkpoint(tmp_path, 20, files(77), keep=3)
    (tmp_path / "checkpoints" / "latest").write_text("step-00000010\n")
    fired = 0
    for fail_at in range(1, 100):
        with monkeypatch.context() as patch:
            injector = Injector(patch, fail_at, code)
            try:
                write_checkpoint(tmp_path, 20, files(20), keep=3)
            except UserError as error:
                message = str(error)
            else:
                assert not injector.fired
                break
        assert injector.fired
        fired += 1
        for part in (os.strerror(code), "step-00000020", "MB free", "MB needed", "step-00000010 is intact"):
            assert part in message
        assert "\n" not in message
        assert ("free some room" in message) == (code != errno.EIO)
        if latest_checkpoint(tmp_path) != tmp_path / "checkpoints" / "step-00000020":
            assert read_checkpoint(tmp_path / "checkpoints" / "step-00000010") == files(10)
        assert not list((tmp_path / "checkpoints").glob(".*tmp")), "a temporary file stayed"
        for name in names(tmp_path):
            if name.startswith("step-"):
                read_checkpoint(tmp_path / "checkpoints" / name)  # whole, whichever they are
        assert not existing or (tmp_path / "checkpoints" / "step-00000020").is_dir()
    assert fired >= 8  # files, their folder, its parent, the pointer: each can fail
    assert read_checkpoint(tmp_path / "checkpoints" / "step-00000020") == files(20)


def test_room_is_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=checkpoints.SLACK + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match=r"not enough room.*needed.*free.*there is no earlier checkpoint"):
        write_checkpoint(tmp_path, 10, FILES, keep=1)
    assert names(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SLACK", 0)
    write_checkpoint(small_disk, 10, {"a": bytes(300_000)}, keep=2)
    with pytest.raises(UserError, match="not enough room on the disk"):
        write_checkpoint(small_disk, 20, {"a": bytes(900_000)}, keep=2)
    plenty = shutil.disk_usage(small_disk)._replace(free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: plenty)  # someone else fills the disk while we write
    with pytest.raises(UserError, match=r"No space left on device.*step-00000010 is intact"):
        write_checkpoint(small_disk, 20, {"a": bytes(900_000)}, keep=2)
    assert names(small_disk) == ["latest", "step-00000010"]
    assert latest_checkpoint(small_disk) == small_disk / "checkpoints" / "step-00000010"
    write_checkpoint(small_disk, 20, {"a": bytes(300_000)}, keep=2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: flip(path / "weights.safetensors"), "weights.safetensors': is corrupt"),
        (lambda path: (path / "weights.safetensors").write_bytes(b""), "weights.safetensors': is corrupt"),
        (lambda path: (path / "weights.safetensors").unlink(), "weights.safetensors': is missing"),
        (lambda path: (path / "checksums.json").unlink(), "checksums.json': is missing"),
        (lambda path: (path / "checksums.json").write_text("[]"), "checksums.json': is no list"),
        (lambda path: (path / "checksums.json").write_text('{"sha256": {"../x": "0"}}'), "checksums.json': is no list"),
        (shutil.rmtree, "step-00000020': no such folder"),
    ],
)
def test_damage_is_named_with_the_way_on(tmp_path: Path, damage: object, named: str) -> None:
    for step in (5, 10, 20):
        path = write_checkpoint(tmp_path, step, files(step), keep=5)
    flip(tmp_path / "checkpoints" / "step-00000010" / "state.json")
    damage(path)  # type: ignore[operator]
    with pytest.raises(UserError) as error:
        read_checkpoint(path)
    message = str(error.value)
    assert named in message
    assert "\n" not in message
    command = f"echo step-00000005 > '{tmp_path / 'checkpoints' / 'latest'}'"
    assert message.endswith(f"step-00000005 is intact, to go on from it: {command}")
    subprocess.run(command, shell=True, check=True)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert read_checkpoint(found) == files(5)


def test_a_pointer_to_nothing(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 5, files(5), keep=5)
    for text in ("step-00000099", "../../etc", ""):
        (tmp_path / "checkpoints" / "latest").write_text(text)
        with pytest.raises(UserError, match="step-00000005 is intact"):
            latest_checkpoint(tmp_path)
    (tmp_path / "checkpoints" / "latest").unlink()
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoints" / "step-00000005"


def test_what_a_crash_leaves_is_cleared(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 5, files(5), keep=5)
    root = tmp_path / "checkpoints"
    for name in (".step-00000006.tmp", ".step-00000001.old"):
        (root / name).mkdir()
    os.rename(root / "step-00000005", root / ".step-00000005.replaced")  # killed between two renames
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert read_checkpoint(found) == files(5)
    write_checkpoint(tmp_path, 6, files(6), keep=5)
    assert names(tmp_path) == ["latest", "step-00000005", "step-00000006"]
