"""The kernels' decorator and its cache: shared between checkouts, private to the user, never in the way."""

import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from gen_dist.kernels import code_cache, jit

KERNELS = Path(jit.__file__).resolve().parent

# Draws once; prints the cache folder, how often compiled code was found and the numbers.
PROGRAM = """
import numba, numpy as np, os
before = dict(os.environ), numba.config.CACHE_DIR
from gen_dist.kernels import code_cache, philox
out = np.empty((1, 3), np.float32)
philox.fill_uniform(out, 1, 2, np.zeros(1, np.int64))
assert before == (dict(os.environ), numba.config.CACHE_DIR)
print(code_cache.cache_folder(), sum(philox._fill.stats.cache_hits.values()), out.tolist(), sep="|")
"""


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    """An empty $XDG_CACHE_HOME, for this process too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code_cache.cache_folder.cache_clear()
    yield tmp_path / "cache"
    code_cache.cache_folder.cache_clear()


def run(checkout):
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder, hits, numbers = done.stdout.strip().split("|")
    return folder, int(hits), numbers


def checkout(path, **edits):
    """A copy of the kernels under `path`, with a line added to the modules named."""
    shutil.copytree(KERNELS, path / "gen_dist" / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for module, line in edits.items():
        with (path / "gen_dist" / "kernels" / f"{module}.py").open("a") as source:
            source.write(line)
    return path


def double(x):
    return x + x


def test_cache_is_shared_by_checkouts_of_the_same_sources_only(tmp_path, cache_home):
    folder, hits, numbers = run(checkout(tmp_path / "a"))
    assert hits == 0
    assert Path(folder).parent == cache_home / "gen-dist"
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert run(tmp_path / "a") == (folder, 1, numbers)
    assert run(checkout(tmp_path / "b")) == (folder, 1, numbers)
    # An edit in another file than the kernel's own, which Numba by itself would not notice.
    edited, hits, _ = run(checkout(tmp_path / "c", jit="# edited\n"))
    assert edited != folder
    assert hits == 0


def test_without_a_usable_folder_kernels_work_uncached(tmp_path, cache_home):
    cache_home.write_text("a file where the folder should be")
    assert run(checkout(tmp_path / "a"))[:2] == ("None", 0)
    assert code_cache.cache_folder() is None
    assert jit.kernel(fastmath=False)(double)(21) == 42


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o770, 0o2775])
def test_a_folder_that_the_cache_of_packs_made_under_another_umask_is_mended(mode, cache_home):
    (cache_home / "gen-dist" / "packs").mkdir(parents=True)
    (cache_home / "gen-dist").chmod(mode)
    folder = code_cache.cache_folder()
    assert folder is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (cache_home / "gen-dist").stat().st_mode & 0o7777 == mode & ~0o022
    assert jit.kernel(fastmath=False)(double)(1) == 2
    assert list(folder.glob("*.nbi"))


def test_a_folder_that_cannot_be_mended_is_not_used(cache_home, monkeypatch):
    (cache_home / "gen-dist").mkdir(parents=True)
    (cache_home / "gen-dist").chmod(0o775)

    def refused(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refused)
    assert code_cache.cache_folder() is None


def test_a_damaged_cache_means_compiling_again(cache_home):
    assert jit.kernel(fastmath=False)(double)(1) == 2
    files = list(code_cache.cache_folder().iterdir())
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for file in files:
        file.write_bytes(file.read_bytes()[:10])
    again = jit.kernel(fastmath=False)(double)
    assert again(1) == 2
    assert not again.stats.cache_hits


def test_a_cache_that_vanishes_or_fills_up_is_no_fault(cache_home, monkeypatch):
    doubled = jit.kernel(fastmath=False)(double)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "save", full)
    assert doubled(1) == 2
    shutil.rmtree(cache_home)
    assert doubled(1.5) == 3.0


def test_two_processes_that_save_at_once_never_name_each_others_code(cache_home, monkeypatch):
    """Both read an empty index, then each writes its own signature: the index may forget one, not mix them up."""
    first, second = jit.kernel(fastmath=False)(double), jit.kernel(fastmath=False)(double)
    for process in (first, second):
        monkeypatch.setattr(process._cache._cache_file, "_load_index", dict)
    assert second(1.5) == 3.0
    assert first(1) == 2
    later = jit.kernel(fastmath=False)(double)
    assert (later(1), later(1.5)) == (2, 3.0)
    assert len(list(code_cache.cache_folder().glob("*.nbc"))) >= 2


def test_fastmath_must_be_written_out_and_the_gil_is_released():
    with pytest.raises(TypeError, match="fastmath"):
        jit.kernel()
    with pytest.raises(TypeError, match="positional"):
        jit.kernel(True)
    for fastmath in (False, True):
        options = jit.kernel(fastmath=fastmath)(double).targetoptions
        assert options["nogil"]
        assert options["fastmath"] is fastmath
