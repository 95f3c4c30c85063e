"""How fast the machines of a cluster reach each other, pair by pair: the connections that gradients will take.

A probe is an actor of a class that inherits from `LinkProbe`, one a node.
"""

import secrets
import threading
from collections.abc import Sequence
from itertools import permutations
from typing import TYPE_CHECKING, TypeVar

from gen_dist.cluster.link_ends import NONCE_BYTES, Link, LinkError, open_listener, receive, send

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

T = TypeVar("T")
__all__ = ["Link", "LinkProbe", "measure_links"]
ANSWER_SECONDS = 20.0  # beyond the measurement itself: the limits of `link_ends`, and Ray's way there and back


class LinkProbe:
    """What an actor needs for links to be measured from and to its node. Methods return at once or within seconds."""

    _closed: threading.Event | None = None  # ends the receiver that was opened last

    def open_link(self, nonce: bytes) -> tuple[str, int] | str:
        """Begin to listen for one sender who knows `nonce`: the address and port, or why that is not possible."""
        import ray

        return self.listen_on(ray.util.get_node_ip_address(), nonce)

    def listen_on(self, address: str, nonce: bytes) -> tuple[str, int] | str:
        self.close_link()
        try:
            listener = open_listener(address)
        except LinkError as error:
            return str(error)
        port = listener.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=receive, args=(listener, nonce, self._closed), daemon=True).start()
        return address, port

    def close_link(self) -> None:
        """Stop listening, where nobody came."""
        if self._closed is not None:
            self._closed.set()

    def measure_link(self, address: str, port: int, nonce: bytes, seconds: float) -> Link | str:
        """The link from this node to a probe that listens there, or why there is none."""
        try:
            return send(address, port, nonce, seconds)
        except LinkError as error:
            return str(error)


class _Silent(Exception):
    """A probe that does not answer the driver; says why."""


def measure_links(probes: "Sequence[ActorHandle]", seconds: float = 0.5) -> dict[tuple[int, int], Link | str]:
    """Every ordered pair (from, to) of different probes, one pair at a time, so that none slows down another.

    A text in place of a Link says why there is no connection. Takes `seconds` a pair and a little more; a pair without
    a connection takes about four seconds, and a probe that does not answer at all is asked once.
    """
    found: dict[tuple[int, int], Link | str] = {}
    silent: dict[int, str] = {}
    for pair in permutations(range(len(probes)), 2):
        for index in pair:
            if index in silent:
                found[pair] = silent[index]
        if pair not in found:
            found[pair] = _measure(probes, *pair, seconds, silent)
    return found


def _measure(
    probes: "Sequence[ActorHandle]", sender: int, receiver: int, seconds: float, silent: dict[int, str]
) -> Link | str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    asked = receiver
    try:
        opened: tuple[str, int] | str = _answer(probes[receiver].open_link.remote(nonce), ANSWER_SECONDS)
        if isinstance(opened, str):
            return opened
        asked = sender
        link: Link | str = _answer(
            probes[sender].measure_link.remote(*opened, nonce, seconds), ANSWER_SECONDS + 2 * seconds
        )
        if isinstance(link, str):
            probes[receiver].close_link.remote()
        return link
    except _Silent as error:
        silent[asked] = str(error)
        return silent[asked]


def _answer(reference: "ObjectRef[T]", seconds: float) -> T:
    import ray
    from ray.exceptions import GetTimeoutError, RayActorError, RayError

    from gen_dist.cluster.failures import first_line

    try:
        return ray.get(reference, timeout=seconds)
    except GetTimeoutError:
        raise _Silent(f"no answer from the node within {seconds:.0f} s") from None
    except RayActorError:
        raise _Silent("the node's probe has died") from None
    except RayError as error:
        raise _Silent(f"the node's probe failed: {first_line(str(error))}") from None
