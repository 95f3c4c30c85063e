"""Torch's own steps to the bit, and nothing of its compiler in a process that trains."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from gen_dist.engine.lean_optimizers import LeanAdam, LeanSGD, leave_compiler_out
from tests.command import environment

OF_THE_COMPILER = ("torch._dynamo", "torch._inductor", "torch.distributed.fsdp", "sympy")
KINDS = [
    pytest.param(Adam, LeanAdam, {"betas": (0.5, 0.9), "eps": 1e-7}, id="adam"),
    pytest.param(SGD, LeanSGD, {"momentum": 0.9}, id="sgd"),
]


@pytest.mark.parametrize(("kind", "lean", "settings"), KINDS)
def test_steps_are_torchs(kind, lean, settings):
    gradients = torch.linspace(-2, 2, 40).view(4, 10)
    found = []
    for one in (kind, lean):
        parameter = nn.Parameter(torch.linspace(-1, 1, 10))
        optimizer = one([parameter], lr=0.1, fused=True, **settings)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
        kept = [value for value in optimizer.state[parameter].values() if isinstance(value, torch.Tensor)]
        assert kept
        found.append([parameter.detach(), *kept])
    assert all(map(torch.equal, *found))
    assert not any(tensor.requires_grad for tensor in found[1])


def test_state_is_saved_and_loaded_without_the_compiler():
    leave_compiler_out()
    parameter = nn.Parameter(torch.ones(3))
    optimizer = LeanAdam([parameter], lr=0.1, fused=True)
    parameter.grad = torch.ones(3)
    optimizer.step()
    other = LeanAdam([nn.Parameter(torch.ones(3))], lr=0.2, fused=True)
    other.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
    assert parameter.grad is None
    assert other.state_dict()["state"][0]["step"] == 1


def test_a_process_that_trains_imports_no_compiler(tmp_path: Path):
    """It would take a fifth of the start."""
    settings = ["smoke", "--no-ray", "--run-dir", str(tmp_path / "run"), "train.steps=2", "wandb.mode=disabled"]
    code = f"""
import sys
from gen_dist.launch.cli import main
sys.argv = ["gen-dist", "train", *{settings}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "torch.optim" in sys.modules
found = {set(OF_THE_COMPILER)} & sys.modules.keys()
assert not found, found
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
