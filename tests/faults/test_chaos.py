"""Two minutes of random faults; `make chaos` goes on for thirty."""

import re
import subprocess
import sys

import pytest

from tests.command import ROOT, environment

pytestmark = [pytest.mark.faults, pytest.mark.slow]
SECONDS = 120
FEWEST_FAULTS, FEWEST_GENERATIONS = 15, 5


def test_a_run_that_workers_keep_dying_in_ends_with_the_bits_of_an_undisturbed_one():
    command = [sys.executable, "-m", "benchmarks.chaos", "--seconds", str(SECONDS), "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) faults, (\d+) generations", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) >= FEWEST_FAULTS
    assert int(found[2]) >= FEWEST_GENERATIONS
