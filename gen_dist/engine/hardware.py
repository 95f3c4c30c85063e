"""What a machine's processor can do, and what a group of machines can do together."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from gen_dist.config import RunConfig
from gen_dist.errors import UserError


@dataclass(frozen=True)
class Hardware:
    host: str
    cuda: bool
    bf16_on_cpu: bool  # AVX512-BF16 or AMX: emulated bf16 is slower than fp32
    bf16_on_cuda: bool


def detect_hardware() -> Hardware:
    import torch  # here, so that the driver of a run need not import it

    cuda = torch.cuda.is_available()
    return Hardware(
        host=socket.gethostname(),
        cuda=cuda,
        bf16_on_cpu=torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        bf16_on_cuda=cuda and torch.cuda.is_bf16_supported(including_emulation=False),
    )


def resolve_hardware(config: RunConfig, group: Sequence[Hardware]) -> RunConfig:
    """The configuration with `auto` device, precision and reducer replaced by what all workers have.

    Raises:
        UserError: something was asked for by name that a host does not have.
    """
    device, precision = config.train.device, config.train.precision
    without_cuda = sorted({h.host for h in group if not h.cuda})
    if device == "cuda" and without_cuda:
        raise UserError(f"train.device 'cuda': no CUDA GPU on {', '.join(without_cuda)}; use train.device=cpu")
    if device == "auto":
        device = "cpu" if without_cuda else "cuda"
    without_bf16 = sorted({h.host for h in group if not (h.bf16_on_cuda if device == "cuda" else h.bf16_on_cpu)})
    if precision == "bf16" and without_bf16:
        raise UserError(
            f"train.precision 'bf16': no bf16 in hardware on {', '.join(without_bf16)}; use train.precision=fp32"
        )
    if precision == "auto":
        precision = "fp32" if without_bf16 else "bf16"
    if device == "cuda":
        for name, value in (("reproducibility", "bitwise"), ("reducer", "tree")):
            if getattr(config.train, name) == value:
                raise UserError(f"train.{name} '{value}': for CPUs, and every worker has a GPU; use train.device=cpu")
    reducer = config.train.reducer
    if reducer == "auto":
        reducer = "ddp" if device == "cuda" else "tree"
    train = config.train.model_copy(update={"device": device, "precision": precision, "reducer": reducer})
    return config.model_copy(update={"train": train})
