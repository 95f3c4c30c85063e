"""How far preparing or a download is: a bar on a terminal, a line every ten seconds elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_shown(done: str = "prepared") -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, a line every ten seconds elsewhere: how many are `done`, of which, and how fast."""
    if Console().is_terminal:
        columns = (TextColumn(done), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
        with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(done)


class _Rate:
    """Items a second since the first call, which may come late: an interrupted try may have done many."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        return (done - self._first[1]) / max(now - self._first[0], 1e-3)


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar, self._rate = bar, _Rate()
        self._task = bar.add_task("", total=None, rate="")

    def __call__(self, done: int, total: int | None) -> None:
        self._bar.update(self._task, completed=done, total=total, rate=f"{self._rate(done):.0f}/s")


class _Lines:
    def __init__(self, what: str) -> None:
        self._what, self._rate, self._spoke = what, _Rate(), time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        rate = self._rate(done)
        if time.monotonic() - self._spoke > SECONDS_BETWEEN_LINES:
            self._spoke = time.monotonic()
            of = "" if total is None else f" of {total}"
            left = "" if total is None or not rate else f", {(total - done) / rate:.0f} s left"
            print(f"{self._what} {done}{of}{left} ({rate:.3g}/s)", flush=True)


@contextmanager
def downloads_shown() -> Iterator[Callable[[str, int, int | None], None]]:
    """Called with a file's name, how many of its bytes are there, and how many it has."""
    if Console().is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def show(file: str, done: int, total: int | None) -> None:
                if file not in tasks:
                    tasks[file] = bar.add_task(file)
                bar.update(tasks[file], completed=done, total=total)

            yield show
    else:
        spoke = time.monotonic()

        def tell(file: str, done: int, total: int | None) -> None:
            nonlocal spoke
            if time.monotonic() - spoke > SECONDS_BETWEEN_LINES:
                spoke = time.monotonic()
                of = "" if total is None else f" of {total / 1e6:.0f}"
                print(f"downloading {file}: {done / 1e6:.0f}{of} MB", flush=True)

        yield tell
