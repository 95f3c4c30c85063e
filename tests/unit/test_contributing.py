"""The worked example of CONTRIBUTING.md is what a reader would make of it: one file, one line, and it trains."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment

ROOT = Path(__file__).parents[2]
CONFIG = """\
# A GAN of two small perceptrons on the bundled emoji.
data: {path: "bundled:emoji", size: 32}
model: {family: perceptron, hidden: 16, latent: 8}
objective: {kind: gan}
train: {steps: 3, batch_size: 16, microbatch_size: 8, log_every: 1, precision: fp32}
wandb: {mode: disabled}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A copy of the package with the example in it, and a configuration beside it."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "gen_dist", folder / "gen_dist", ignore=shutil.ignore_patterns("__pycache__"))
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("**A model.**")[2].partition("**A kind of source.**")[0]
    [model, import_line, union_line] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (folder / "gen_dist" / "models" / "perceptron.py").write_text(model)
    registry = folder / "gen_dist" / "models" / "registry.py"
    lines = registry.read_text().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if line.startswith("    | "))
    lines.insert(last + 1, union_line)
    lines.insert(next(number for number, line in enumerate(lines) if line.startswith("from ")), import_line)
    registry.write_text("".join(lines))
    (folder / "mine.yaml").write_text(CONFIG)
    return folder


def run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gen_dist.launch.cli", "train", "mine.yaml", "--no-ray", *arguments],
        cwd=package, env=environment() | {"PYTHONPATH": str(package)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_the_example_trains(package):
    done = run(package, "--run-dir", "run")
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in (package / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert len({row["train/generator_loss"] for row in rows}) == 3
    assert list((package / "run" / "samples").glob("*.png"))


def test_its_keys_are_checked_like_all_others(package):
    for wrong, message in (
        ("model.hiden=3", "key 'model.hiden': unknown, did you mean 'model.hidden'?"),
        ("data.size=64", "data.size 64: model.family 'perceptron' makes at most 32 pixels; use data.size=32"),
    ):
        done = run(package, wrong, "--dry-run")
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
