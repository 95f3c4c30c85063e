"""`gen-dist prepare` as a person sees it: a bar, then what became of every file."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gen_dist.data.prepare import prepare

MOST_SHOWN = 5


def prepare_with_progress(source: Path, out: Path, size: int) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not Console().is_terminal, transient=True) as bar:
        task = bar.add_task("decoding")
        done = prepare(source, out, size, progress=lambda count, total: bar.update(task, completed=count, total=total))
    rate = done.images / max(done.seconds, 1e-9)
    print(f"{done.path}: {done.images} images of {size}x{size} in {done.seconds:.1f} s ({rate:.0f} images/s)")
    if done.class_names:
        print(f"classes: {len(done.class_names)}")
    for reason, count in Counter(reason for _, reason in done.rejected).most_common(MOST_SHOWN):
        first = next(name for name, why in done.rejected if why == reason)
        print(f"rejected: {count} ({reason}), such as {first}")
