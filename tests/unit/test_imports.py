"""What an import drags in: nothing heavy for the package and the command line, and no kernel is compiled."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "wandb", "numba", "numpy", "PIL", "simplejpeg", "pydantic", "av", "pooch", "requests")

PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(sys.modules)))
"""

# Compiling is an event that Numba announces.
KERNELS = """
import importlib, pathlib, sys
from numba.core import event
import gen_dist.kernels
with event.install_recorder("numba:compile") as recorder:
    for file in sorted(pathlib.Path(list(gen_dist.kernels.__path__)[0]).glob("*.py")):
        importlib.import_module(f"gen_dist.kernels.{file.stem}")
print(len(recorder.buffer))
print(*(name for name in ("torch", "ray", "PIL", "simplejpeg") if name in sys.modules), sep=",")
"""


def run(program, *arguments):
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "module", ["gen_dist", "gen_dist.launch.cli", "gen_dist.kernels.limits", "gen_dist.sources.downloading"]
)
def test_light(module):
    loaded = json.loads(run(PROGRAM, module))
    assert module in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("module", ["gen_dist.preparing.decode", "gen_dist.sources.video_decode"])
def test_a_decoding_subprocess_loads_no_compiler(module):
    loaded = json.loads(run(PROGRAM, module))
    assert [name for name in ("torch", "ray", "wandb", "numba", "numpy") if name in loaded] == []


def test_importing_all_kernels_compiles_none():
    assert run(KERNELS).splitlines() == ["0", ""]
