"""Checkpoints: folders of plain files that appear whole or not at all, each with its checksums."""

import errno
import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from gen_dist.atomic import sync_folder, write_atomic
from gen_dist.errors import UserError

SLACK = 8 * 2**20  # bytes left free beside a checkpoint, for the log, the metrics and the pictures

_SUMS = "checksums.json"
_FOLDER = re.compile(r"step-(\d{8,})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def write_checkpoint(folder: Path, step: int, files: dict[str, bytes], keep: int) -> Path:
    """Write `files` (plain name to content) to `<folder>/checkpoints/step-XXXXXXXX` and point `latest` to it.

    The newest `keep` checkpoints up to `step` stay, older ones go. Returns the checkpoint's path. Raises UserError
    where the disk refuses: the previous checkpoint is then as it was, and `latest` still names it.
    """
    if bad := [name for name in files if not _NAME.fullmatch(name) or name == _SUMS]:
        raise ValueError(f"checkpoint files {bad}: names must be plain and not {_SUMS}")
    if step < 0 or keep < 1:
        raise ValueError(f"checkpoint step {step} must be at least 0, keep {keep} at least 1")
    root = folder / "checkpoints"
    target = root / f"step-{step:08d}"
    needed = sum(map(len, files.values())) + 4096 * (len(files) + 2)
    temporary = root / f".{target.name}.tmp"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(root)
        if shutil.disk_usage(root).free < needed + SLACK:
            raise OSError(errno.ENOSPC, "not enough room on the disk")
        _write_files(temporary, files)
        _put_in_place(temporary, target)
        write_atomic(root / "latest", f"{target.name}\n".encode())
    except OSError as error:
        raise UserError(_write_failure(root, target, needed, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in [path for path in _all(root) if _step(path) <= step][keep:]:
        with suppress(OSError):  # the new checkpoint stands; what cannot be removed now can be next time
            os.rename(old, _aside(old))  # so that a half-deleted folder never passes for a checkpoint
    _remove_leftovers(root)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that `<folder>/checkpoints/latest` names, or None where the run has none yet.

    Raises UserError where `latest` names none that is there.
    """
    root = folder / "checkpoints"
    try:
        name = (root / "latest").read_text(errors="replace").strip()
    except FileNotFoundError:  # the process ended between the first checkpoint and its pointer
        return next(iter(_all(root)), None)
    except OSError as error:
        raise UserError(f"checkpoint pointer '{root / 'latest'}': cannot be read ({error.strerror})") from None
    if _FOLDER.fullmatch(name) and not (root / name).exists() and _replaced(root / name).is_dir():
        os.rename(_replaced(root / name), root / name)  # the process ended in the middle of replacing it
    if not _FOLDER.fullmatch(name) or not (root / name).is_dir():
        raise UserError(
            f"checkpoint pointer '{root / 'latest'}': names '{name}', which is no checkpoint; {_hint(root)}"
        )
    return root / name


def read_checkpoint(path: Path) -> dict[str, bytes]:
    """All files of a checkpoint, name to content, each verified. Raises UserError, naming the file that is wrong."""
    try:
        return _read(path)
    except _Damaged as damage:
        raise UserError(f"{damage}; {_hint(path.parent, path)}") from None


class _Damaged(Exception):
    """What is wrong with which file of a checkpoint."""


def _read(path: Path) -> dict[str, bytes]:
    if not path.is_dir():
        raise _Damaged(f"checkpoint '{path}': no such folder")
    sums = _sums(path / _SUMS)
    files = {}
    for name, digest in sums.items():
        content = _content(path / name)
        if hashlib.sha256(content).hexdigest() != digest:
            raise _Damaged(f"checkpoint file '{path / name}': is corrupt (its checksum differs)")
        files[name] = content
    return files


def _sums(path: Path) -> dict[str, str]:
    foreign = _Damaged(f"checkpoint file '{path}': is no list of checksums by gen-dist")
    try:
        sums: Any = json.loads(_content(path))["sha256"]
    except (ValueError, TypeError, KeyError):
        raise foreign from None
    if not isinstance(sums, dict) or not all(_NAME.fullmatch(name) for name in sums):
        raise foreign
    return sums


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _Damaged(f"checkpoint file '{path}': is missing") from None
    except OSError as error:
        raise _Damaged(f"checkpoint file '{path}': cannot be read ({error.strerror})") from None


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    listing = json.dumps({"sha256": sums}, indent=2).encode() + b"\n"
    for name, content in (files | {_SUMS: listing}).items():
        with open(folder / name, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)


def _all(root: Path) -> list[Path]:
    """Every checkpoint, newest step first."""
    if not root.is_dir():
        return []
    found = [path for path in root.iterdir() if _FOLDER.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename, also over an older checkpoint of the same step: a run that went back to a still older one."""
    replaced = _replaced(target)
    if target.exists():
        os.rename(target, replaced)
    try:
        os.rename(temporary, target)
        sync_folder(target.parent)
    except OSError:
        if replaced.exists() and not target.exists():
            os.rename(replaced, target)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _replaced(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _remove_leftovers(root: Path) -> None:
    for pattern in (".step-*.tmp", ".step-*.old", ".latest.*.tmp"):
        for path in root.glob(pattern):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    for path in root.glob(".step-*.replaced"):
        if (root / path.name.removeprefix(".").removesuffix(".replaced")).exists():
            shutil.rmtree(path, ignore_errors=True)


def _intact(root: Path, besides: Path | None = None) -> Path | None:
    for path in _all(root):
        if path == besides:
            continue
        try:
            _read(path)
        except _Damaged:
            continue
        return path
    return None


def _hint(root: Path, besides: Path | None = None) -> str:
    other = _intact(root, besides)
    if other is None:
        return "no other checkpoint of this run is intact; start a new run"
    return f"{other.name} is intact, to go on from it: echo {other.name} > '{root / 'latest'}'"


def _write_failure(root: Path, target: Path, needed: int, error: OSError) -> str:
    try:
        free = f"{shutil.disk_usage(root).free / 1e6:.1f} MB free"
    except OSError:
        free = "free room unknown"
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = "free some room and resume" if full else "check the disk and your rights, then resume"
    other = _intact(root, target)
    kept = f"the previous checkpoint {other.name} is intact" if other else "there is no earlier checkpoint"
    reason = error.strerror or str(error)
    return f"checkpoint '{target}': {reason} ({(needed + SLACK) / 1e6:.1f} MB needed, {free}); {hint}; {kept}"
