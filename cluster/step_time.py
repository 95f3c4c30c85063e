"""How long a step will take: measured costs and links in, seconds out. Pure, so tested without a cluster.

A phase: every worker computes its microbatches; a piece of the sum leaves while the next is computed, the last one
bucket by bucket during the last backward pass; each worker sums its chunk of every bucket and sends it back; losses and
norms are agreed on; everybody optimises.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gen_dist.cluster.link_ends import Link
from gen_dist.engine.balance import improve
from gen_dist.engine.costs import Costs, PhaseCosts, blend
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tree import rounds

GOOD = 0.9  # efficiency from which on nothing is said to hold the cluster up
# Of the time that a piece takes the network while others are computed, what it takes the processor: between a fifth, on
# machines of a CPU with links of 1 Gbit/s, and nearly all, on such of half a CPU, in trials that no command repeats.
PROCESSOR_SHARE = 0.5
MESSAGE_SECONDS = 5e-5  # of the processor's time, to send or to receive one: `python -m benchmarks.exchange`
CHUNK_BYTES = 64  # a vector is summed by no more ranks than it has such chunks
TRIPS = 4  # one-way trips of an exchange: pieces and sums, each announced before it is sent


@dataclass(frozen=True)
class Machine:
    """A node and what its workers were measured to need, by how many of them computed at once."""

    host: str
    costs: Mapping[int, Costs]

    def among(self, workers: int) -> Costs:
        """The costs of one of so many workers: between two that were measured, on the line through them."""
        below = max((count for count in self.costs if count <= workers), default=min(self.costs))
        above = min((count for count in self.costs if count >= workers), default=max(self.costs))
        weight = (workers - below) / (above - below) if above > below else 0.0
        return blend([(self.costs[below], 1 - weight), (self.costs[above], weight)])


@dataclass(frozen=True)
class Cluster:
    """`links`: from one machine to another, and where it has several workers from a machine to itself."""

    machines: Sequence[Machine]
    links: Mapping[tuple[int, int], Link]


@dataclass(frozen=True)
class Batch:
    microbatches: int
    images: int
    balanced: bool  # whether shares follow the workers' speed
    shares: Sequence[int] | None = None  # where they are given


@dataclass(frozen=True)
class Parts:
    """Of a step, in seconds."""

    compute: float  # until the slowest worker has its gradients
    exchange: float  # of gradients, beyond that
    latency: float
    fixed: float  # norms, optimiser, averages: what every worker does alike

    @property
    def seconds(self) -> float:
        return self.compute + self.exchange + self.latency + self.fixed


@dataclass(frozen=True)
class Prediction:
    """Of a step with some workers."""

    shares: tuple[int, ...]
    parts: Parts
    images_per_second: float
    efficiency: float  # to the sum of what the same workers do one by one, each alone on its machine
    bottleneck: str  # what holds it up most, in words; "compute" from an efficiency of 0.9 on


def predict(cluster: Cluster, places: Sequence[int], batch: Batch, ring: bool = False) -> Prediction:
    """A step with a worker on each of `places`.

    Args:
        places: each rank's machine, as its number in the cluster.
        ring: whether gradients are summed in a ring, as the ddp reducer does, and not in the tree.
    """
    crowds = [places.count(place) for place in places]
    costs = [cluster.machines[place].among(crowd) for place, crowd in zip(places, crowds, strict=True)]
    speeds = [each.microbatch for each in costs]
    piece_seconds = 0.0 if ring else seconds_of_a_piece(cluster, places, costs[0])
    ownership = share_out(batch, speeds, piece_seconds)
    leaving = [dict(enumerate(ownership.shares))] if ring else rounds(ownership)
    compute = exchange = latency = fixed = 0.0
    for number, phase in enumerate(costs[0].phases):
        phases = [each.phases[number] for each in costs]
        computed = max(share * each.microbatch for share, each in zip(ownership.shares, phases, strict=True))
        exchanged = exchange_end(cluster, places, leaving, phases, ring)
        compute += phase.count * computed
        exchange += phase.count * max(0.0, exchanged - computed)
        latency += phase.count * latency_of(phase, places, longest_latency(cluster, places), ring)
        fixed += phase.count * max(each.fixed for each in phases)
    parts = Parts(compute, exchange, latency, fixed)
    alone = [cluster.machines[place].among(1) for place in places]
    ideal = 1 / sum(1 / (batch.microbatches * each.microbatch + each.fixed) for each in alone)
    efficiency = ideal / parts.seconds
    if efficiency >= GOOD:
        bottleneck = "compute"
    else:
        divisible = [batch.microbatches / sum(1 / each.microbatch for each in some) for some in (alone, costs)]
        losses = {
            crowding(cluster, places): divisible[1] - divisible[0],
            unevenness(cluster, places, ownership, speeds): compute - divisible[1],
            slowest_link(cluster, places): exchange,
            "latency between machines": latency,
            "norms and optimiser, which every worker does whole": fixed * (1 - 1 / len(places)),
        }
        bottleneck = max(losses, key=lambda name: losses[name])
    return Prediction(tuple(ownership.shares), parts, batch.images / parts.seconds, efficiency, bottleneck)


def share_out(batch: Batch, speeds: Sequence[float], piece_seconds: float) -> Ownership:
    """Who owns what, once shares have followed the speeds (seconds per microbatch)."""
    if batch.shares is not None:
        return Ownership.from_shares(batch.shares)
    equal = Ownership.equal(batch.microbatches, len(speeds))
    return improve(equal, speeds, piece_seconds) if batch.balanced else equal


def seconds_of_a_piece(cluster: Cluster, places: Sequence[int], costs: Costs) -> float:
    """What a step's exchange takes in one direction where every rank has one piece."""
    return sum(
        phase.count * seconds_of(cluster, places, pieces_bytes(vector.bytes, range(len(places)), len(places)))
        for phase in costs.phases
        for vector in phase.sent
    )


def exchange_end(
    cluster: Cluster, places: Sequence[int], leaving: Sequence[Mapping[int, int]], phases: Sequence[PhaseCosts],
    ring: bool,
) -> float:  # fmt: skip
    """Seconds from a phase's begin until every rank has the sum of all gradients.

    One vector after the other takes the network: each when the last rank has it, and its sums when all have computed.

    Args:
        leaving: see `tree.rounds`.
    """
    workers, network, busy = len(places), 0.0, 0.0
    for computed in leaving:
        for number, vector in enumerate(phases[0].sent):
            ready = busy + max(
                count * phases[rank].microbatch - phases[rank].sent[number].early for rank, count in computed.items()
            )
            sent = ring_bytes(vector.bytes, workers) if ring else pieces_bytes(vector.bytes, computed, workers)
            network = max(network, ready) + seconds_of(cluster, places, sent)
            if computed is not leaving[-1]:
                busy += PROCESSOR_SHARE * seconds_of(cluster, places, sent)
    network = max(network, busy + max(count * phases[rank].microbatch for rank, count in leaving[-1].items()))
    if not ring:
        for vector in phases[0].sent:
            network += seconds_of(cluster, places, pieces_bytes(vector.bytes, range(workers), workers))
    return network


def pieces_bytes(size: float, senders: Iterable[int], workers: int) -> dict[tuple[int, int], float]:
    """What some ranks send to each other one: a piece's chunks, one chunk a rank."""
    return {(i, j): size / workers for i in senders for j in range(workers) if i != j}


def ring_bytes(size: float, workers: int) -> dict[tuple[int, int], float]:
    """What each rank sends to the next one in a ring all-reduce."""
    each = 2 * (workers - 1) / workers * size
    return {(i, (i + 1) % workers): each for i in range(workers) if workers > 1}


def seconds_of(cluster: Cluster, places: Sequence[int], sent: Mapping[tuple[int, int], float]) -> float:
    """How long the links need for what the ranks send each other, all at once.

    A machine sends to several others, or receives from them, at the speed of its fastest link.
    """
    between: dict[tuple[int, int], float] = defaultdict(float)
    for (i, j), size in sent.items():
        between[places[i], places[j]] += size
    seconds = [size / cluster.links[pair].bytes_per_second for pair, size in between.items()]
    for end in (0, 1):
        for place in set(places):
            pairs = [pair for pair in between if pair[end] == place and pair[0] != pair[1]]
            if pairs:
                fastest = max(cluster.links[pair].bytes_per_second for pair in pairs)
                seconds.append(sum(between[pair] for pair in pairs) / fastest)
    return max(seconds, default=0.0)


def latency_of(phase: PhaseCosts, places: Sequence[int], seconds: float, ring: bool) -> float:
    """What a phase's messages take, however short they are, of its exchange and of the one by which all agree that
    numbers are finite: one-way trips of so many seconds, and the processor of who sends and receives most of them."""
    workers = len(places)
    messages: float
    if ring:
        others = workers - 1
        messages, trips = 4 * others * (len(phase.sent) + 1), TRIPS + 2 * others
    else:
        others = workers - min(map(places.count, places))  # between machines; within one they go through memory
        sums = sum(min(others, vector.bytes / CHUNK_BYTES) for vector in phase.sent)  # by so many others
        messages, trips = 2 * others * (len(phase.sent) + 1) + 2 * sums, 2 * TRIPS
    return (trips * seconds if workers > 1 else 0.0) + messages * MESSAGE_SECONDS


def longest_latency(cluster: Cluster, places: Sequence[int]) -> float:
    """In seconds."""
    return max((cluster.links[pair].latency_seconds for pair in pairs_of(places)), default=0.0)


def pairs_of(places: Sequence[int]) -> set[tuple[int, int]]:
    """The machines between which ranks send; a machine with several to itself too."""
    ranks = range(len(places))
    return {(places[i], places[j]) for i in ranks for j in ranks if i != j}


def slowest_link(cluster: Cluster, places: Sequence[int]) -> str:
    if not (pairs := sorted(pairs_of(places))):
        return ""
    pair = min(pairs, key=lambda pair: cluster.links[pair].bytes_per_second)
    sender, receiver = (cluster.machines[place].host for place in pair)
    megabits = 8e-6 * cluster.links[pair].bytes_per_second
    within = f"within {sender}" if sender == receiver else f"from {sender} to {receiver}"
    return f"network: {megabits:,.0f} Mbit/s {within}"


def crowding(cluster: Cluster, places: Sequence[int]) -> str:
    most = max(places, key=places.count)
    return f"{places.count(most)} workers slow each other down on {cluster.machines[most].host}"


def unevenness(cluster: Cluster, places: Sequence[int], ownership: Ownership, speeds: Sequence[float]) -> str:
    slowest = max(range(len(places)), key=lambda rank: ownership.shares[rank] * speeds[rank])
    host, share = cluster.machines[places[slowest]].host, ownership.shares[slowest]
    whole = f"{share} microbatch{'es' * (share > 1)}"
    return f"rank {slowest} on {host}: others wait while it computes its {whole} of {ownership.microbatches}"
