"""Whether all ranks still hold the same state: a silent corruption of one is caught before it is saved."""

import hashlib
import socket
from collections import Counter
from collections.abc import Sequence

import torch
import torch.distributed as dist

from gen_dist.engine.gathering import gather_bytes
from gen_dist.engine.state import State, hash_digests
from gen_dist.errors import RunError

HOST_BYTES = 64
DIGEST_BYTES = 32


def compare_states(state: State, group: dist.ProcessGroup | None) -> str:
    """The state's hash, which all ranks have. Collective.

    Raises:
        RunError: on every rank alike, naming the ranks whose state differs and the first tensor that does.
    """
    digests = state.digests()
    own = hash_digests(state.step, digests)
    if group is None:
        return own
    names = hashlib.sha256("\n".join(digests).encode()).digest()
    first = gather_bytes(bytes.fromhex(own) + names, group)
    hashes = [both[:DIGEST_BYTES] for both in first]
    if len(set(hashes)) > 1:
        alike = len({both[DIGEST_BYTES:] for both in first}) == 1  # else their digests differ in number
        everyones = gather_bytes(b"".join(digests.values()) if alike else b"", group)
        hosts = [host.rstrip(b"\0").decode("utf-8", "replace") for host in gather_bytes(host_name(), group)]
        raise RunError(describe_difference(state.step, list(digests), hashes, everyones, hosts))
    return own


@torch.no_grad()
def send_state(state: State, group: dist.ProcessGroup | None) -> str:
    """Make rank 0's state every rank's, so that replicas that round differently do not drift apart. Collective.

    Returns:
        its hash.
    """
    if group is not None:
        for _, tensors in sorted(state.tensors().items()):
            for _, tensor in sorted(tensors.items()):
                sent = tensor.contiguous()  # a copy where the memory's order is channels_last
                dist.broadcast(sent, group_src=0, group=group)
                tensor.copy_(sent)
    return state.hash()


def describe_difference(
    step: int, names: Sequence[str], hashes: Sequence[bytes], digests: Sequence[bytes], hosts: Sequence[str]
) -> str:
    """One line: which ranks differ from the most common state (from rank 0's, if there is none), and where first."""
    usual, count = Counter(hashes).most_common(1)[0]  # of equally common ones the first, which is the lowest rank's
    reference = hashes.index(usual)
    others = [
        f"rank {rank} on {hosts[rank]} (first in {first_difference(names, digests[rank], digests[reference])})"
        for rank, own in enumerate(hashes)
        if own != usual
    ]
    doubt = "" if 2 * count > len(hashes) else "; without a majority, either may be the wrong one"
    return (
        f"after step {step}: {' and '.join(others)} {'hold' if others[1:] else 'holds'} another state than rank "
        f"{reference} on {hosts[reference]}{doubt}: an error of memory, processor or software; this state is not kept"
    )


def first_difference(names: Sequence[str], digests: bytes, reference: bytes) -> str:
    """`digests`, `reference`: of all tensors, one after the other; empty where the ranks have different ones."""
    if not digests:
        return "which tensors there are"
    for i, name in enumerate(names):
        part = slice(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)
        if digests[part] != reference[part]:
            file, _, tensor = name.partition(" ")
            return f"tensor {tensor} of {file}"
    return "the step count"


def host_name() -> bytes:
    return socket.gethostname().encode()[:HOST_BYTES].ljust(HOST_BYTES, b"\0")
