"""All that is needed to go on: weights, optimisers, EMA, step. To and from bytes, without pickle."""

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from gen_dist.checkpointing import EMA, FORMAT, OPTIMIZER, STATE, WEIGHTS, read_facts
from gen_dist.config import OptimizerSettings, RunConfig
from gen_dist.engine.optimizers import build_optimizer, create_slots
from gen_dist.errors import UserError
from gen_dist.models.build import Modules, build_modules
from gen_dist.models.growth import set_step


class State:
    """`step` counts finished steps. Every rank holds the whole state."""

    def __init__(
        self,
        modules: Modules,
        optimizers: dict[str, Optimizer],
        settings: OptimizerSettings,
        ema: Modules,
        ema_decay: float,
    ) -> None:
        self.modules, self.optimizers, self.settings = modules, optimizers, settings
        self.ema, self.ema_decay = ema, ema_decay
        self.go_to(0)

    @classmethod
    def create(cls, config: RunConfig, channels: int, shown: tuple[str, ...], device: torch.device) -> "State":
        """The state before the first step: depends on the configuration only."""
        modules = build_modules(config, channels, device)
        ema = {name: copy.deepcopy(modules[name]).eval() for name in shown} if config.train.ema_decay else {}
        for module in ema.values():
            module.requires_grad_(False)
        settings = config.optimizer
        optimizers = {name: build_optimizer(settings, name, module) for name, module in modules.items()}
        return cls(modules, optimizers, settings, ema, config.train.ema_decay)

    def go_to(self, step: int) -> None:
        """Count `step` finished steps; networks that grow are then as they are after so many."""
        self.step = step
        set_step(self.modules, step)
        set_step(self.ema, step)

    @property
    def showing(self) -> Modules:
        """The modules that make pictures: averaged ones where there are any."""
        return {**self.modules, **self.ema}

    @torch.no_grad()
    def average(self, name: str) -> None:
        """One EMA step towards module `name`: of weights and running statistics. Early steps average over fewer."""
        if name not in self.ema:
            return
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        average, module = self.ema[name], self.modules[name]
        # Statistics too: those of the latest weights do not fit the average ones.
        ours, theirs = ([*one.parameters(), *one.buffers()] for one in (average, module))
        torch._foreach_lerp_(ours, theirs, 1 - decay)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """File name to tensor name to tensor: the state itself, not a copy."""
        slots = {
            f"{name}.{key}.{slot}": value
            for name, optimizer in self.optimizers.items()
            for key, parameter in self.modules[name].named_parameters()
            for slot, value in optimizer.state.get(parameter, {}).items()
            if value is not None
        }
        return {WEIGHTS: flatten_modules(self.modules), EMA: flatten_modules(self.ema), OPTIMIZER: slots}

    def digests(self) -> dict[str, bytes]:
        """The SHA-256 of every tensor, by `file name`, in order: over its type, shape and bytes."""
        return {
            f"{file} {name}": digest_tensor(tensor)
            for file, tensors in sorted(self.tensors().items())
            for name, tensor in sorted(tensors.items())
        }

    def hash(self) -> str:
        """SHA-256 over the names and digests of all tensors, and the step."""
        return hash_digests(self.step, self.digests())

    def to_files(self, facts: Mapping[str, Any], state_hash: str | None = None) -> dict[str, bytes]:
        """A checkpoint: file name to content. `facts` are added to the JSON; `state_hash` is `hash()`, if known."""
        files = {file: save({k: contiguous(v) for k, v in t.items()}) for file, t in self.tensors().items()}
        state = {"format": FORMAT, "step": self.step, "hash": state_hash or self.hash(), **facts}
        return {**files, STATE: (json.dumps(state, indent=1, sort_keys=True) + "\n").encode()}

    def load_files(self, files: Mapping[str, bytes]) -> None:
        """Become the state that `files` hold.

        Raises:
            UserError: a file is missing or corrupt, or holds other tensors than this model's.
        """
        step = read_facts(files)["step"]
        tensors = {file: read_tensors(file, files) for file in (WEIGHTS, EMA, OPTIMIZER)}
        self.create_optimizer_slots(tensors[OPTIMIZER])
        own = self.tensors()
        for file in own:
            check_tensors(file, tensors[file], own[file])
        for file in own:
            copy_tensors(tensors[file], own[file])
        self.go_to(step)

    def load_weights(self, files: Mapping[str, bytes]) -> None:
        """Take weights and buffers only: the start of a new run."""
        saved, own = read_tensors(WEIGHTS, files), flatten_modules(self.modules)
        check_tensors(WEIGHTS, saved, own)
        copy_tensors(saved, own)
        for name, average in self.ema.items():
            average.load_state_dict(self.modules[name].state_dict())

    def create_optimizer_slots(self, saved: Mapping[str, Tensor]) -> None:
        """Create the optimisers' tensors that `saved` has values for."""
        places = {
            f"{name}.{key}": (optimizer, parameter)
            for name, optimizer in self.optimizers.items()
            for key, parameter in self.modules[name].named_parameters()
        }
        slots: dict[str, set[str]] = {}
        for full in saved:
            place, _, slot = full.rpartition(".")
            slots.setdefault(place, set()).add(slot)
        for place in slots.keys() & places.keys():
            create_slots(self.settings, *places[place], slots[place])


def flatten_modules(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}


def digest_tensor(tensor: Tensor) -> bytes:
    """SHA-256 over type, shape and bytes; those of four dimensions in the order N, H, W, C.

    That is how convolutions' weights lie in memory, and putting them in another order takes longer than the hash.
    """
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    ordered = tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor
    digest.update(contiguous(ordered).reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def hash_digests(step: int, digests: Mapping[str, bytes]) -> str:
    """A state's hash from its digests, as 64 hexadecimal digits."""
    lines = (f"{name} {digest.hex()}\n" for name, digest in digests.items())
    return hashlib.sha256("".join((f"step {step}\n", *lines)).encode()).hexdigest()


def contiguous(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def read_tensors(file: str, files: Mapping[str, bytes]) -> dict[str, Tensor]:
    try:
        return load(files[file])
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError):  # the middle two: impossible sizes
        raise UserError(f"checkpoint file {file}: missing or corrupt; use an older checkpoint") from None


def check_tensors(file: str, saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Refuse another model's tensors, naming the first that does not fit.

    Raises:
        UserError: names or shapes differ.
    """
    for name in sorted(saved.keys() ^ own.keys()):
        where = "has no" if name in own else "has an unknown"
        raise UserError(f"checkpoint file {file}: {where} tensor '{name}'; it belongs to another model")
    for name, tensor in own.items():
        if saved[name].shape != tensor.shape:
            raise UserError(
                f"checkpoint file {file}: tensor '{name}' has shape {list(saved[name].shape)}, "
                f"this model needs {list(tensor.shape)}; it belongs to another model"
            )


@torch.no_grad()
def copy_tensors(saved: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name, tensor in own.items():
        tensor.copy_(saved[name])
