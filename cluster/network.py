"""Which interface reaches the peers.

gloo resolves the host's own name and ends up on loopback on many machines, so it is told.
"""

import os
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import psutil

from gen_dist.errors import RunError

if TYPE_CHECKING:
    import torch.distributed as dist


def interface_of(address: str) -> str:
    """The name of the network interface that has this address.

    Raises:
        RunError: none has.
    """
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address.partition("%")[0] == address for entry in addresses):
            return name
    raise RunError(f"no network interface of {socket.gethostname()} has the address {address} that Ray uses")


def serve_store(address: str, timeout_seconds: float) -> tuple["dist.TCPStore", int]:
    """A rendezvous store that listens on `address` only, on a port that the system chose and that is already bound."""
    import torch.distributed as dist

    listener = socket.create_server((address, 0), backlog=512)
    port = listener.getsockname()[1]
    store = dist.TCPStore(
        address, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=timeout_seconds),
        master_listen_fd=listener.detach(),
    )  # fmt: skip
    return store, port


def choose_interface(address: str) -> str:
    """Make gloo and NCCL of this process use the interface of `address`; returns its name."""
    name = interface_of(address)
    os.environ["GLOO_SOCKET_IFNAME"] = name
    os.environ["NCCL_SOCKET_IFNAME"] = f"={name}"
    return name
