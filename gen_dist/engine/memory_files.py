"""Memory files: memory that other processes of a machine can open, by process and descriptor. They have no name that
could be left behind. On Linux only, and not between containers."""

import mmap
import os
from collections.abc import MutableSequence

import numpy as np
import torch.distributed as dist


def create_memory(size: int, descriptors: MutableSequence[int]) -> tuple[int, mmap.mmap]:
    """So many zeros, which take memory where they are written. Its descriptor is added to those to be closed.

    Raises OSError where that is not allowed.
    """
    descriptor = os.memfd_create("gen-dist", os.MFD_CLOEXEC)
    descriptors.append(descriptor)
    os.ftruncate(descriptor, size)
    return descriptor, mmap.mmap(descriptor, size)


def open_memory(path: str, size: int, offset: int = 0) -> np.ndarray:
    """Another process's, uint8 (size), read-only. Raises DistError where there is none, any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return np.frombuffer(mmap.mmap(descriptor, size, prot=mmap.PROT_READ, offset=offset), np.uint8)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise dist.DistError(f"memory of a peer on this machine: {error}") from None


def close_all(descriptors: MutableSequence[int]) -> None:
    """What is mapped stays readable."""
    while descriptors:
        os.close(descriptors.pop())
