"""What is known of the network interface that a node's traffic takes, and why it takes that one."""

import os
import socket
from contextlib import closing, suppress
from dataclasses import dataclass

import psutil

from gen_dist.cluster.network import interface_of
from gen_dist.errors import RunError

SOMEWHERE = ("192.0.2.1", 9)  # an address for documentation: routed like any other, and nothing is sent


@dataclass(frozen=True)
class Interface:
    """The one that has the address by which Ray knows this node: gloo and NCCL are told to use it."""

    name: str  # "" if no interface has that address
    address: str
    loopback: bool
    wireless: bool
    megabits: int | None  # as the driver says; None: it does not
    towards_internet: str  # the interface of the default route, "" without one


def interface_facts(address: str) -> Interface:
    """Of this machine, which Ray knows by `address`."""
    name = _name_of(address)
    stats = psutil.net_if_stats().get(name)
    return Interface(
        name=name,
        address=address,
        loopback=name.startswith("lo"),
        wireless=bool(name) and os.path.isdir(f"/sys/class/net/{name}/wireless"),
        megabits=stats.speed if stats is not None and 0 < stats.speed < 65535 else None,
        towards_internet=_name_of(_address_towards_internet()),
    )


def _name_of(address: str) -> str:
    with suppress(RunError):
        return interface_of(address)
    return ""


def _address_towards_internet() -> str:
    """The local address that the routing table would use, "" if it has no way."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe, suppress(OSError):
        probe.connect(SOMEWHERE)
        return str(probe.getsockname()[0])
    return ""
