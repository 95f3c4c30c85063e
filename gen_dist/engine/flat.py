"""Tensors on the CPU as kernels read and write them: one after the other, as their numbers lie in memory."""

import numpy as np
import torch
from torch import Tensor

from gen_dist.kernels import bfloat16


def in_memory(tensor: Tensor) -> np.ndarray:
    """Its numbers (n), in the order in which they lie in memory; it has no gaps."""
    numbers: np.ndarray = tensor.detach().as_strided((tensor.numel(),), (1,)).numpy()
    return numbers


def laid_out_like(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor, copied where it lies in memory in another order."""
    if tensor.stride() == other.stride():
        return tensor
    return torch.empty_strided(other.shape, other.stride(), dtype=tensor.dtype).copy_(tensor)


def add_bfloat16(into: Tensor, numbers: Tensor) -> None:
    """`into` += `numbers`: float32 and bfloat16, of one shape, without gaps."""
    bfloat16.add(in_memory(into), in_memory(laid_out_like(numbers, into).view(torch.uint16)))
