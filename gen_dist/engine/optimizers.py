"""From a configuration to torch's optimisers, and the learning rate at each step."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gen_dist.config import OptimizerSettings
from gen_dist.engine.lean_optimizers import LeanAdam, LeanSGD, leave_compiler_out
from gen_dist.engine.rmsprop import FusedRMSprop

# What each kind keeps for a parameter, by torch's names.
SLOTS = {
    "adam": ("step", "exp_avg", "exp_avg_sq"),
    "rmsprop": ("step", "square_avg", "momentum_buffer"),
    "sgd": ("momentum_buffer",),
}


def build_optimizer(settings: OptimizerSettings, name: str, module: nn.Module) -> Optimizer:
    """The optimiser of the module `name`. `set_rate` comes before each of its steps."""
    leave_compiler_out()
    rate, parameters = peak_rate(settings, name), list(module.parameters())
    if settings.kind == "adam":
        betas = settings.beta1, settings.beta2
        return LeanAdam(parameters, lr=rate, betas=betas, eps=settings.epsilon, fused=True)
    momentum = settings.momentum
    if settings.kind == "rmsprop":
        optimizer: Optimizer = FusedRMSprop(
            parameters, lr=rate, alpha=settings.beta2, eps=settings.epsilon, momentum=momentum, foreach=True
        )
    else:
        optimizer = LeanSGD(parameters, lr=rate, momentum=momentum, fused=True)
    # Zeros, as torch would begin with. Its SGD cannot, where only some parameters have had a step (networks that grow);
    # its RMSprop counts steps on the CPU, where a group of GPUs cannot send them.
    slots = {slot for slot in SLOTS[settings.kind] if momentum or slot != "momentum_buffer"}
    for parameter in parameters:
        create_slots(settings, optimizer, parameter, slots)
    return optimizer


def create_slots(settings: OptimizerSettings, optimizer: Optimizer, parameter: nn.Parameter, slots: set[str]) -> None:
    """Torch creates a parameter's tensors at its first step; create those named `slots` now, on its device."""
    optimizer.state[parameter] = {
        slot: torch.zeros((), dtype=torch.float32, device=parameter.device)
        if slot == "step"
        else torch.zeros_like(parameter)
        for slot in SLOTS[settings.kind]
        if slot in slots
    }


def peak_rate(settings: OptimizerSettings, name: str) -> float:
    """The learning rate of the module `name` between warm-up and decay."""
    if name == "discriminator" and settings.discriminator_learning_rate is not None:
        return settings.discriminator_learning_rate
    return settings.learning_rate


def rate_factor(settings: OptimizerSettings, step: int) -> float:
    """Of the peak rate, after `step` finished steps: linear warm-up, then constant, linear or cosine decay."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    if settings.decay_steps is None:
        return 1.0
    done = min(1.0, (step - settings.warmup_steps) / settings.decay_steps)
    left = 1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return settings.final_fraction + (1 - settings.final_fraction) * left


def rate_at(settings: OptimizerSettings, name: str, step: int) -> float:
    """The learning rate of the module `name` in the step after `step` finished ones."""
    return peak_rate(settings, name) * rate_factor(settings, step)


def set_rate(settings: OptimizerSettings, name: str, optimizer: Optimizer, step: int) -> float:
    """Returns it."""
    rate = rate_at(settings, name, step)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def total_norm(gradients: list[Tensor]) -> float:
    """The norm of all of them as one vector. Finite where they are: the squares of values above 1e19, which a VAE's
    variance may bring, overflow float32.
    """
    norm = torch.nn.utils.get_total_norm(gradients).item()
    if math.isfinite(norm):
        return norm
    return torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients]).norm().item()


@torch.no_grad()
def clip_gradients(settings: OptimizerSettings, gradients: list[Tensor], norm: float) -> None:
    """Scale gradients whose global norm is `norm` down to `clip_norm` (Pascanu et al. 2013), in place."""
    if 0 < settings.clip_norm < norm:
        torch._foreach_mul_(gradients, settings.clip_norm / norm)
