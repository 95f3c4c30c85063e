"""Which of this machine's addresses its Ray node gets: one that the other machines reach."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from gen_dist.errors import UserError

ELSEWHERE = "203.0.113.1"  # in no network (RFC 5737), so the way there is the default route


@dataclass(frozen=True)
class OwnAddress:
    """`others` are the addresses that were not chosen, with their interfaces."""

    address: str
    interface: str
    reason: str
    others: Mapping[str, str]

    def describe(self) -> str:
        rest = f"; not used: {listed(self.others)}" if self.others else ""
        return f"{self.interface}, {self.reason}{rest}"


def choose_address(interfaces: Mapping[str, str], routed: str | None, asked: str | None, goal: str) -> OwnAddress:
    """The address for the Ray node. Pure.

    Args:
        interfaces: each address of this machine that is no loopback, and its interface.
        routed: the address from which packets to `goal` leave, if there is a route.
        asked: what the user wants, or None.
        goal: in words, such as "the default route".

    Raises:
        UserError: there is none, no telling which, or not the one asked for.
    """
    if not interfaces:
        raise UserError(
            "this machine has no network address that others reach: connect it; or train on it alone, with 'gen-dist "
            "train' and no --address"
        )
    if asked is not None and asked not in interfaces:
        raise UserError(f"--node-ip-address {asked}: must be one of this machine's: {listed(interfaces)}")
    if asked is not None:
        chosen, reason = asked, "as asked"
    elif routed in interfaces:
        assert routed is not None
        chosen, reason = routed, f"towards {goal}"
    elif len(interfaces) == 1:
        chosen, reason = next(iter(interfaces)), "the only one"
    else:
        raise UserError(f"no route to {goal}: choose with --node-ip-address one of {listed(interfaces)}")
    others = {address: name for address, name in interfaces.items() if address != chosen}
    return OwnAddress(chosen, interfaces[chosen], reason, others)


def listed(interfaces: Mapping[str, str]) -> str:
    return ", ".join(f"{address} ({name})" for address, name in interfaces.items())


def own_address_towards(host: str | None, asked: str | None) -> OwnAddress:
    """Choose for a node that joins `host`, or for a head (None). Raises UserError as `choose_address`."""
    goal = "the default route" if host is None else host
    return choose_address(own_interfaces(), source_address(host or ELSEWHERE), asked, goal)


def own_interfaces() -> dict[str, str]:
    """IPv4 addresses of interfaces that are up, without loopback and what a machine gives itself for want of any."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    return {
        entry.address: name
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if name in up and entry.family == socket.AF_INET and not entry.address.startswith(("127.", "169.254."))
    }


def source_address(host: str) -> str | None:
    """From which address packets to `host` leave; none is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address
