"""The folder for compiled kernels: what its name depends on, that it is private, and on this node's own disk."""

import os

import numba
import pytest

from gen_dist.kernels import code_cache


def test_fingerprint_covers_names_and_contents(tmp_path):
    def fingerprint(**sources):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in sources.items():
            (folder / f"{name}.py").write_text(text)
        return code_cache.fingerprint(folder)

    assert fingerprint(a="x", b="y") == fingerprint(b="y", a="x")
    variants = [{"a": "x", "b": "y"}, {"a": "y", "b": "x"}, {"a": "xy", "b": ""}, {"a": "x"}, {"a": "x", "c": "y"}]
    assert len({fingerprint(**sources) for sources in variants}) == len(variants)


def test_private_folder_is_made_for_the_user_only(tmp_path):
    path = code_cache.private_folder(tmp_path / "cache" / "gen-dist" / "numba")
    assert path.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o777 == 0o700
    assert code_cache.private_folder(path) == path


def open_to_others(path):
    path.mkdir(parents=True)
    path.chmod(0o775)


def a_link(path):
    path.parent.mkdir(parents=True)
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to("elsewhere")


def in_a_link(path):
    (path.parent.parent / "elsewhere").mkdir(mode=0o700)
    path.parent.symlink_to("elsewhere")


@pytest.mark.parametrize("prepare", [open_to_others, a_link, in_a_link])
def test_folders_that_others_could_reach_are_refused(prepare, tmp_path):
    path = tmp_path / "gen-dist" / "numba"
    prepare(path)
    with pytest.raises(OSError, match=r"not a private folder|File exists"):
        code_cache.private_folder(path)


def test_folders_of_another_user_are_refused(tmp_path, monkeypatch):
    path = code_cache.private_folder(tmp_path / "gen-dist" / "numba")
    path.parent.chmod(0o775)
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="gen-dist: not a private folder"):
        code_cache.private_folder(path)
    assert path.parent.stat().st_mode & 0o777 == 0o775


MOUNTS = """\
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 22 0:31 / /home rw shared:9 - nfs4 server:/home rw
32 31 0:32 / /home/local rw shared:9 - xfs /dev/vdb rw
33 22 0:33 / /data\\040sets rw - lustre a@tcp:/b rw
34 22 0:34 / /over rw - nfs server:/old rw
35 22 0:35 / /over rw - tmpfs tmpfs rw
half a line
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/root/.cache", False),
        ("/home/ann/.cache", True),
        ("/home", True),
        ("/homes/ann", False),
        ("/home/local/ann", False),
        ("/data sets/cache", True),
        ("/over/cache", False),
    ],
)
def test_network_file_systems_are_told_by_the_deepest_and_last_mount(path, expected):
    assert code_cache.on_network(path, MOUNTS) is expected
    assert not code_cache.on_network(path, "")


def test_a_home_on_the_network_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "local"))
    monkeypatch.setattr(code_cache, "_mounts", lambda: f"31 22 0:31 / {tmp_path}/home rw - nfs server:/home rw")
    try:
        code_cache.cache_folder.cache_clear()
        folder = code_cache.cache_folder()
        assert folder is not None
        assert folder.parent == tmp_path / "local" / f"gen-dist-{os.getuid()}"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not (tmp_path / "home").exists()
    finally:
        code_cache.cache_folder.cache_clear()


def test_code_with_bounds_checks_has_a_cache_of_its_own(tmp_path, monkeypatch):
    plain = code_cache.fingerprint(tmp_path)
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    assert code_cache.fingerprint(tmp_path) != plain
