"""Where compiled kernels are kept: a private folder on this node's own disk, named after what the code depends on."""

import functools
import hashlib
import os
import platform
import stat
import tempfile
from pathlib import Path

import llvmlite.binding
import numba

_OPTIONS = ("BOUNDSCHECK", "OPT", "CPU_NAME", "CPU_FEATURES", "ENABLE_AVX")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# File systems that several nodes may share: their locks and renames are slow or not to be relied on.
_NETWORK_FILE_SYSTEMS = {
    *("9p", "afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "wekafs"),
    *("fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"),
}


@functools.cache
def cache_folder() -> Path | None:
    """The folder for compiled kernels, made if it is missing, or None if it cannot be made or trusted.

    It lies in `$XDG_CACHE_HOME` (or `~/.cache`) under `gen-dist/numba-<hash>`; where that is on a network file system,
    in the system's temporary folder under `gen-dist-<user>/numba-<hash>`. The hash covers the kernels' sources, because
    Numba does not notice that a kernel called from another file has changed.
    """
    try:
        name = f"numba-{fingerprint(Path(__file__).parent)}"
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        if on_network(base, _mounts()):
            return private_folder(Path(tempfile.gettempdir()) / f"gen-dist-{os.getuid()}" / name)
        return private_folder(base / "gen-dist" / name)
    except (OSError, RuntimeError):  # RuntimeError: this user has no home folder
        return None


def private_folder(path: Path) -> Path:
    """Make `path` with mode 0700, or check that it is a folder of this user that no other user can write to.

    What it holds is pickle: whoever can write there, or put another folder in its place, can run code as this user. So
    the folder it lies in must be this user's too; where others may write to that one, they no longer may afterwards.

    Raises PermissionError if a check fails, OSError if a folder cannot be made or its mode not be changed.
    """
    parent = path.parent
    parent.parent.mkdir(parents=True, exist_ok=True)
    parent.mkdir(mode=0o700, exist_ok=True)
    mode = _own_folder(parent)
    if mode & _OTHERS_WRITE:  # the cache of packs lies there too, and may have made it under a umask of 002
        parent.chmod(mode & ~_OTHERS_WRITE)
    path.mkdir(mode=0o700, exist_ok=True)
    if _own_folder(path) & _OTHERS_WRITE:  # not to be mended: someone may have written there
        raise PermissionError(f"{path}: not a private folder of this user")
    return path


def fingerprint(folder: Path) -> str:
    """Sixteen hex digits over the sources in `folder` and all else that compiled code depends on."""
    machine = (numba.__version__, platform.python_version(), llvmlite.binding.get_host_cpu_name())
    options = [str(getattr(numba.config, name)) for name in _OPTIONS]
    digest = hashlib.sha256(repr((*machine, *options)).encode())
    for source in sorted(folder.rglob("*.py")):
        content = source.read_bytes()
        digest.update(f"{source.relative_to(folder)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def on_network(path: Path, mounts: str) -> bool:
    """Whether `path`, which need not exist, lies on a network file system.

    `mounts`: lines as in Linux's /proc/self/mountinfo; of the file systems mounted at or above the path, the one
    mounted deepest and last counts. Without such lines the answer is no.
    """
    place, deepest, kind = os.path.realpath(path), -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, about = before.split(), after.split()
        if len(fields) < 5 or not about:
            continue
        point = fields[4].encode().decode("unicode_escape")  # spaces in names are written \040
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= deepest:
            deepest, kind = len(point), about[0]
    return kind in _NETWORK_FILE_SYSTEMS


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        return ""


def _own_folder(path: Path) -> int:
    """The permission bits of a folder of this user. Raises PermissionError if it is a link or someone else's."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{path}: not a private folder of this user")
    return stat.S_IMODE(status.st_mode)
