"""What is known of a cluster before a run: plain values, with nothing judged yet."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gen_dist.cluster.link_ends import Link
from gen_dist.cluster.node_facts import Disk, NodeFacts
from gen_dist.cluster.placement import Node
from gen_dist.data.bundled import BUNDLED
from gen_dist.data.cache import packs_cache
from gen_dist.data.pack import Pack
from gen_dist.data.pack_meta import is_pack
from gen_dist.errors import UserError


@dataclass(frozen=True)
class Wanted:
    """A pack that a run would train on, as it is on the machine that starts the run."""

    name: str  # as the user wrote it
    pack: Path
    content_hash: str
    bytes: int


@dataclass(frozen=True)
class Copy:
    """What a node has of it, and where; of a damaged one, what is wrong; of one that is unknown, why."""

    state: Literal["same", "other", "damaged", "missing", "unknown"]
    where: str


@dataclass(frozen=True)
class Clock:
    """How far a node's clock is ahead of this machine's, in seconds, and by how much that may be wrong."""

    ahead: float
    error: float


@dataclass(frozen=True)
class Examined:
    node: Node
    facts: NodeFacts | str  # or why there are none
    clock: Clock | None = None
    copy: Copy | None = None


@dataclass(frozen=True)
class Here:
    """The machine and the process that would start the run, where the run folder is made."""

    software: Mapping[str, str]
    runs: Disk
    joined: bool  # an existing cluster, not one started for this
    wanted: Wanted | None = None


@dataclass(frozen=True)
class Examination:
    here: Here
    nodes: Sequence[Examined]  # this machine's first
    links: Mapping[tuple[int, int], Link | str]  # (from, to), places in `nodes`
    cpus_taken: float = 0  # by other work on the cluster

    def label(self, place: int) -> str:
        """A node's name; with its address where two have the same."""
        node = self.nodes[place].node
        alike = sum(other.node.host == node.host for other in self.nodes)
        return node.host if alike == 1 else f"{node.host} ({node.address})"


def find_copy(wanted: Wanted) -> Copy:
    """What this machine has of it: at the same path, or sent here by an earlier run."""
    if wanted.name.startswith(BUNDLED):
        return Copy("same", "comes with gen-dist")
    places = [wanted.pack]
    with suppress(UserError):  # no cache folder: then nothing was sent here
        places.append(packs_cache() / "shipped" / wanted.content_hash)
    found = [_copy_at(place, wanted.content_hash) for place in places]
    return next((copy for copy in found if copy.state == "same"), found[0])


def _copy_at(pack: Path, content_hash: str) -> Copy:
    if not is_pack(pack):
        return Copy("missing", str(pack))
    try:
        same = Pack.open(pack).content_hash == content_hash
    except UserError as error:
        return Copy("damaged", str(error))
    return Copy("same" if same else "other", str(pack))
