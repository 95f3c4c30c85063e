"""Kernels compiled ahead: all of them, once on a node, whoever comes first."""

import subprocess
import sys

import pytest

from gen_dist.kernels import code_cache
from gen_dist.kernels.warm_up import PARTS, warm_up

# Counts what is compiled while the calls of one part are made again, after the part was warmed up.
PROGRAM = """
import sys
from numba.core import event
from gen_dist.kernels.warm_up import warm_up
with event.install_recorder("numba:compile") as recorder:
    print(*warm_up(*sys.argv[1:]), sep=",")
print(sum(1 for _, e in recorder.buffer if e.is_start))
"""


def run(*parts):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *parts], capture_output=True, text=True, check=True)
    names, compiled = done.stdout.splitlines()
    return [name for name in names.split(",") if name], int(compiled)


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code_cache.cache_folder.cache_clear()
    yield tmp_path
    code_cache.cache_folder.cache_clear()


def test_a_part_is_compiled_by_the_first_process_only(cache_home, monkeypatch):
    made, compiled = run("training")
    assert made == ["training"]
    assert compiled > 3
    assert run("training") == ([], 0)
    assert warm_up("training") == []


def test_processes_wait_for_the_one_that_compiles(cache_home):
    both = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, "training"], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = sorted(process.communicate()[0].splitlines()[0] for process in both)
    assert outputs == ["", "training"]


def test_without_a_folder_each_process_compiles(cache_home, monkeypatch):
    monkeypatch.setattr("gen_dist.kernels.warm_up.cache_folder", lambda: None)
    monkeypatch.setattr("gen_dist.kernels.warm_up.PARTS", {"training": (lambda: made.append(1),)})
    made = []
    assert warm_up("training") == warm_up() == ["training"]
    assert made == [1, 1]


def test_unknown_parts_are_refused():
    with pytest.raises(ValueError, match="part 'all': must be one of training, decoding"):
        warm_up("all")
    assert list(PARTS) == ["training", "decoding"]
