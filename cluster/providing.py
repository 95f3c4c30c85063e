"""The run's data for those workers whose machines have no copy: sent once for each machine."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from gen_dist.cluster.member import Member
from gen_dist.cluster.placement import Node
from gen_dist.cluster.shipping import missing, ship


def provide_data(
    pack: Path, content_hash: str, members: Sequence[Member], report: Callable[[str], None], check: Callable[[], None]
) -> None:
    """Send the pack to every node of these members that has none. They must then be asked again who they are.

    `report` gets lines for the user; `check` raises where going on makes no sense any more.

    Raises:
        UserError: a node has no room; nothing was sent.
        ShippingFailed: a node was lost on the way.
    """
    held = {member.node.node_id: member.identity.data_hash for member in members if member.identity}
    hosts = label_hosts(list(dict.fromkeys(member.node for member in members)))
    receivers = {}
    for node in missing(held, content_hash):
        receiver = next(member for member in members if member.node.node_id == node)
        assert receiver.identity is not None
        report(f"data on {hosts[node]}: {receiver.identity.data_lack}")
        receivers[node] = hosts[node], receiver.actor
    if receivers:
        ship(pack, content_hash, receivers, report, check)


def label_hosts(nodes: Sequence[Node]) -> dict[str, str]:
    """Node id to its host's name, with the address where several have that name."""
    times = Counter(node.host for node in nodes)
    return {node.node_id: node.host if times[node.host] == 1 else f"{node.host} ({node.address})" for node in nodes}
