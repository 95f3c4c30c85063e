"""A bottleneck in a sentence: what it is, where, what removing it would gain, which key to change. Pure."""

from gen_dist.config import RunConfig
from gen_dist.profiling.bottleneck import Bottleneck, rows
from gen_dist.step_times import DATA, StepTimes


def advise(found: Bottleneck, times: StepTimes, config: RunConfig, hosts: list[str]) -> str:
    """One line; `hosts` by rank."""
    where = name_rank(found.rank, hosts)
    gain = f"without it steps would be {found.gain:.2f} × as fast"
    match found.name:
        case "compute":
            share = f"{found.share:.0%} of a step is forward and backward"
            return f"computing is the bottleneck: {share}, and nothing else costs much; {faster(config)}"
        case "data":
            return f"waiting for data is the bottleneck, {found.share:.0%} of a step: {gain}; {loading(times, config)}"
        case "slow worker":
            return (
                f"{where} is the bottleneck: the others wait for it, {found.share:.0%} of a step; as fast as they are, "
                f"steps would be {found.gain:.2f} × as fast; {balancing(config)}"
            )
        case "exchange":
            return (
                f"exchanging gradients is the bottleneck, {found.share:.0%} of a step: {gain}; a larger "
                "train.batch_size exchanges as much less often, fewer --workers or a faster link less at a time"
            )
        case "optimise":
            return (
                f"the optimiser is the bottleneck, {found.share:.0%} of a step: {gain}; a larger train.batch_size "
                "needs it less often"
            )
        case "bookkeeping":
            return (
                f"what is done between phases (records, pictures, checkpoints) is the bottleneck, {found.share:.0%} of "
                f"a step: {gain}; raise train.sample_every, train.checkpoint_every, train.log_every or train.hash_every"
            )
        case "to device":
            return f"copying images to the device is the bottleneck, {found.share:.0%} of a step: {gain}"
    return f"{where} spends {found.share:.0%} of a step outside of all parts: {gain}; is the machine doing other work?"


def name_rank(rank: int, hosts: list[str]) -> str:
    return f"rank {rank} on {hosts[rank]}" if rank < len(hosts) else f"rank {rank}"


def loading(times: StepTimes, config: RunConfig) -> str:
    """What the loader's threads mostly did, and what to change."""
    waiting, decoding, augmenting = rows(times.by_rank(), DATA).sum(1).tolist()
    threads = config.data.loader_threads
    more = f"data.loader_threads={2 * threads} instead of {threads}"
    if decoding > max(waiting, augmenting):
        return f"most of it is making images from files: {more}, or prepare them as pixels"
    if augmenting > waiting:
        return f"most of it is augmenting: {more}, or less of data.augment"
    return f"the images came late: {more}, a larger data.prefetch, or a faster disk"


def balancing(config: RunConfig) -> str:
    if config.cluster.balance == "equal":
        return "cluster.balance=auto lets it own fewer microbatches"
    if config.cluster.shares is not None:
        return "without cluster.shares it would own fewer microbatches"
    return "a smaller train.microbatch_size lets shares follow speed more closely"


def faster(config: RunConfig) -> str:
    ways = ["more --workers"]
    if config.train.precision == "fp32":
        ways.append("train.precision=bf16 where the processor has it")
    return f"{' or '.join(ways)} would help"
