"""A bottleneck in a sentence: what it is, where, what removing it would gain, which key to change. Pure."""

from gen_dist.config import RunConfig
from gen_dist.profiling.bottleneck import Bottleneck, loading_gain, rows, seconds_of, step_seconds
from gen_dist.step_times import COUNTED, DATA, StepTimes

LEAST_WAITING = 0.05  # of a step, that is told


def advise(found: Bottleneck, times: StepTimes, config: RunConfig, hosts: list[str]) -> str:
    """One line; `hosts` by rank."""
    where = name_rank(found.rank, hosts)
    of = f" of {where}" if found.is_of_one else ""
    cost = f"{found.share:.0%} of a step: without it steps would be {found.gain:.2f} × as fast"
    match found.name:
        case "compute":
            return computing(found, times, config)
        case "data":
            return f"waiting for data{of} is the bottleneck, {cost}; {loading(times, config)}"
        case "slow worker":
            return (
                f"{where} is the bottleneck: the others wait for it, {found.share:.0%} of a step; as fast as they are, "
                f"steps would be {found.gain:.2f} × as fast; {balancing(config)}"
            )
        case "uneven shares":
            return f"uneven shares are the bottleneck, {cost}; {sharing(times, config)}"
        case "exchange":
            return (
                f"exchanging gradients is the bottleneck, {cost}; a larger train.batch_size exchanges as much less "
                "often, fewer --workers or a faster link less at a time"
            )
        case "optimise":
            return f"the optimiser{of} is the bottleneck, {cost}; a larger train.batch_size needs it less often"
        case "bookkeeping":
            return (
                f"what is done between phases{of} (telling the record, comparing states) is the bottleneck, {cost}; "
                "raise train.hash_every and train.log_every"
            )
        case "to device":
            return f"copying images to the device{of} is the bottleneck, {cost}"
    return f"{where} spends {found.share:.0%} of a step outside of all parts, {cost}; does the machine do other work?"


def name_rank(rank: int, hosts: list[str]) -> str:
    return f"rank {rank} on {hosts[rank]}" if rank < len(hosts) and hosts[rank] else f"rank {rank}"


def computing(found: Bottleneck, times: StepTimes, config: RunConfig) -> str:
    share = f"computing is the bottleneck: {found.share:.0%} of a step is forward and backward"
    waiting = seconds_of(times, ["wait"]) / step_seconds(times)
    if waiting >= LEAST_WAITING:
        rest = f"ranks wait {waiting:.0%} for each other, now one, now another, and nothing else costs much"
    else:
        rest = "nothing else costs much"
    ways = []
    if times.ranks < config.train.microbatches:
        ways.append("more --workers on free CPUs")
    if config.train.precision == "fp32":
        ways.append("train.precision=bf16 where the processor has it")
    return f"{share}; {rest}" + (f"; {' or '.join(ways)} would help" if ways else "")


def loading(times: StepTimes, config: RunConfig) -> str:
    """What the loader's threads mostly did, and what to change."""
    waiting, decoding, augmenting = rows(times.by_rank(), DATA).sum(1).tolist()
    threads = config.data.loader_threads
    gain = loading_gain(times, threads, 2 * threads)
    more = f"data.loader_threads={2 * threads} instead of {threads} would give about {gain:.2f} × where CPUs are free"
    if decoding > max(waiting, augmenting):
        return f"most of it is making images from files: {more}; or prepare them as pixels"
    if augmenting > waiting:
        return f"most of it is augmenting: {more}; or less of data.augment"
    return f"the loader's threads waited too, for the disk or a CPU: {more}; or a faster disk"


def sharing(times: StepTimes, config: RunConfig) -> str:
    place = COUNTED.index("microbatches")
    owned = next(iter(times.counted.values()))[place] / max(1, times.steps)
    told = ", ".join(f"{count:.3g}" for count in owned[:8]) + ", …" * (len(owned) > 8)
    return (
        f"ranks own {told} of {config.train.microbatches} microbatches, which are not cut up: use as many --workers as "
        f"divide them, or a smaller train.microbatch_size than {config.train.microbatch_size}, which changes the result"
    )


def balancing(config: RunConfig) -> str:
    if config.cluster.balance == "equal":
        return "cluster.balance=auto lets it own fewer microbatches"
    if config.cluster.shares is not None:
        return "without cluster.shares it would own fewer microbatches"
    return "it owns as few microbatches as that allows: relieve it, or leave it out"
