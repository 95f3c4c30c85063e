"""A profile as text: a row for each part, a column for each rank; and two profiles beside each other. Pure."""

from collections.abc import Sequence

import numpy as np

from gen_dist.profiling.profile import Profile
from gen_dist.step_times import PARTS

TITLES = {
    "data_wait": "data wait",
    "decode": "data wait: decoding",
    "augment": "data wait: augmenting",
    "to_device": "to the device",
    "forward": "forward",
    "backward": "backward",
    "wait": "waiting for others",
    "exchange": "exchanging gradients",
    "optimise": "optimiser",
    "bookkeeping": "between phases",
    "other": "other",
}
MOST_RANKS = 8  # with a column each; of more, those that waited least and most
LEAST_SHARE = 0.0005  # of a step; below that a row says nothing
LEAST_CHANGE = 0.05  # of the step before, that is told


def shown_ranks(profile: Profile) -> list[int]:
    """All, or of many those that others wait for most and least."""
    ranks = profile.step_times.ranks
    if ranks <= MOST_RANKS:
        return list(range(ranks))
    waited = profile.step_times.by_rank()[PARTS.index("wait")]
    order = np.argsort(waited, kind="stable").tolist()
    return sorted(order[: MOST_RANKS // 2] + order[-MOST_RANKS // 2 :])


def profile_table(profile: Profile) -> list[str]:
    """Milliseconds a step, and shares."""
    table = profile.step_times.by_rank()
    ranks, mean = shown_ranks(profile), table.mean(1)
    whole = mean.sum()
    header = ["milliseconds a step", "all", "share", *(f"rank {rank}" for rank in ranks)]
    rows = [header]
    for part, values, average in zip(PARTS, table, mean, strict=True):
        if average >= LEAST_SHARE * whole:
            rows.append([TITLES[part], ms(average), f"{average / whole:.1%}", *(ms(values[rank]) for rank in ranks)])
    rows.append(["the whole step", ms(whole), "", *(ms(table[:, rank].sum()) for rank in ranks)])
    hosts = [f"rank {rank}: {profile.hosts[rank]}" for rank in ranks] if len(set(profile.hosts)) > 1 else []
    return [*aligned(rows), *hosts]


def phase_table(profile: Profile) -> list[str]:
    """Milliseconds a step of each phase, the mean over ranks."""
    tables = profile.step_times.seconds
    rows = [["milliseconds a step", *tables]]
    for number, part in enumerate(PARTS):
        values = [table[number].mean() for table in tables.values()]
        if sum(values) >= LEAST_SHARE * profile.step_seconds:
            rows.append([TITLES[part], *map(ms, values)])
    rows.append(["the whole phase", *(ms(table.sum(0).mean()) for table in tables.values())])
    return aligned(rows)


def comparison_table(before: Profile, now: Profile) -> list[str]:
    """What became slower or faster since another profile, largest first; settings that differ come first."""
    lines = [
        f"{key}: {before.settings.get(key)} before, {now.settings.get(key)} now"
        for key in sorted(before.settings.keys() | now.settings.keys())
        if before.settings.get(key) != now.settings.get(key)
    ]
    if len(before.hosts) != len(now.hosts):
        lines.append(f"workers: {len(before.hosts)} before, {len(now.hosts)} now")
    old, new = (profile.step_times.by_rank().mean(1) for profile in (before, now))
    rows = [["milliseconds a step", "before", "now", "change"]]
    for place in np.argsort(-np.abs(new - old), kind="stable"):
        if abs(new[place] - old[place]) >= LEAST_CHANGE * before.step_seconds:
            rows.append([TITLES[PARTS[place]], ms(old[place]), ms(new[place]), signed(new[place] - old[place])])
    whole = now.step_seconds - before.step_seconds
    rows.append(["the whole step", ms(before.step_seconds), ms(now.step_seconds), signed(whole)])
    return [*lines, *aligned(rows), verdict(before, now)]


def verdict(before: Profile, now: Profile) -> str:
    ratio = now.images_per_second / before.images_per_second
    if abs(ratio - 1) < LEAST_CHANGE:
        return f"as fast as before: {ratio:.2f} × the images per second"
    word = "faster" if ratio > 1 else "slower"
    return f"{word} than before: {ratio:.2f} × the images per second"


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"


def signed(seconds: float) -> str:
    return f"{1000 * seconds:+.1f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
