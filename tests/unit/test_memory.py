"""Out of memory: one line says what the model takes and which keys make it less."""

import subprocess
import sys

import pytest

from gen_dist.engine.memory import explain_out_of_memory
from gen_dist.errors import RunError
from tests.command import ROOT, environment
from tests.training_cases import case

# Torch's own words, where the process may have no more than it has.
NO_ROOM = """
import resource
from gen_dist.engine.hardware import detect_hardware, resolve_hardware
from gen_dist.engine.probe import probe_hash
from gen_dist.errors import RunError
from gen_dist.presets import load_config

overrides = ["data.size=64", "model.generator_width=512", "train.precision=fp32", "train.device=cpu"]
config = resolve_hardware(load_config("dcgan-64", overrides), [detect_hardware()])
probe_hash(resolve_hardware(load_config("smoke", ["train.device=cpu"]), [detect_hardware()]), 3)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (300 << 20),) * 2)
try:
    probe_hash(config, 3)
except RunError as error:
    print(error)
"""


def test_torchs_error_becomes_one_line_with_the_keys_that_help():
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM], cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    [line] = done.stdout.splitlines()
    assert line.startswith("out of memory: the model's parameters (generator 182.8 M, discriminator 2.8 M) take 3.0 GB")
    assert "lower train.microbatch_size, data.size or model.generator_width or model.discriminator_width" in line


@pytest.mark.parametrize("error", [ValueError("another"), RuntimeError("shapes differ")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error), match=str(error)), explain_out_of_memory(case("dcgan"), 3):
        raise error


def test_pythons_own_error_counts_too():
    with pytest.raises(RunError, match=r"^out of memory: .*encoder 0\.0 M"), explain_out_of_memory(case("vae"), 3):
        raise MemoryError
