"""`gen-dist prepare` as a person sees it: a bar, then what became of every file."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gen_dist.config import DecodingSettings
from gen_dist.errors import UserError
from gen_dist.preparing.prepare import prepare
from gen_dist.presets import load_config

MOST_SHOWN = 5
KEYS = "data.decoding."


def decoding_settings(overrides: list[str]) -> DecodingSettings:
    """The settings as `gen-dist train` would read them. Raises UserError for what they do not allow."""
    for override in overrides:
        if not override.startswith(KEYS):
            raise UserError(f"override '{override}': only {KEYS}* matters here, such as {KEYS}decoder=libraries")
    return load_config("smoke", overrides).data.decoding  # any preset: none of them says how to decode


def prepare_with_progress(source: Path, out: Path, size: int, decoding: DecodingSettings) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not Console().is_terminal, transient=True) as bar:
        task = bar.add_task("decoding")

        def progress(count: int, total: int) -> None:
            bar.update(task, completed=count, total=total)

        done = prepare(source, out, size, decoding=decoding, progress=progress)
    rate = done.images / max(done.seconds, 1e-9)
    print(f"{done.path}: {done.images} images of {size}x{size} in {done.seconds:.1f} s ({rate:.0f} images/s)")
    if done.class_names:
        print(f"classes: {len(done.class_names)}")
    for reason, count in Counter(reason for _, reason in done.rejected).most_common(MOST_SHOWN):
        first = next(name for name, why in done.rejected if why == reason)
        print(f"rejected: {count} ({reason}), such as {first}")
