"""What every rank knows, known to all."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist


def gather_bytes(own: bytes, group: dist.ProcessGroup) -> list[bytes]:
    """Every rank's bytes, of one length, in rank order."""
    if not own:
        return [b""] * group.size()
    mine = torch.frombuffer(bytearray(own), dtype=torch.uint8)
    gathered = [torch.empty_like(mine) for _ in range(group.size())]
    dist.all_gather(gathered, mine, group=group)
    return [bytes(part.tolist()) for part in gathered]


def gather(own: Sequence[int], group: dist.ProcessGroup) -> list[list[int]]:
    """Every rank's whole numbers below 2^63, as many of each, in rank order."""
    gathered = gather_bytes(np.array(own, np.int64).tobytes(), group)
    return [np.frombuffer(part, np.int64).tolist() for part in gathered]
