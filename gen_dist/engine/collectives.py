"""Telling a broken collective from other errors."""

MARKS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset", "Broken pipe", "recvValue")


def is_collective(cause: BaseException) -> bool:
    """Whether a worker failed only because a peer no longer answered."""
    import torch.distributed as dist  # the driver of a run asks only when something went wrong

    text = str(cause)
    return isinstance(cause, dist.DistError) or (isinstance(cause, RuntimeError) and any(m in text for m in MARKS))
