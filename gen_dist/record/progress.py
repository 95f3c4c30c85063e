"""How far a run is: a bar on a terminal, plain lines elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

_LINE_SECONDS = 1.0  # plain lines come at most this often
_BAR_WIDTH = 16
_FOR_FILES = ("gradient_norm", "learning_rate")  # losses have priority on a line


class Progress:
    """Shows the progress of a run from `start_step` (steps done before) to `total_steps`.

    Where the output has gone away (a closed terminal or pipe) it falls silent: that is no reason to stop training.
    """

    def __init__(self, total_steps: int, start_step: int, describe: str, console: Console | None = None) -> None:
        self._total = total_steps
        self._console = console or Console()
        self._first: tuple[int, float] | None = None  # the first update's step and time: what the ETA counts from
        self._last_line = -_LINE_SECONDS
        self._gone = False
        self._bar: Bar | None = None
        if self._console.is_terminal:
            name = TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=len(describe)))
            bar = BarColumn(_BAR_WIDTH, table_column=Column(min_width=_BAR_WIDTH))
            news = TextColumn("{task.fields[news]}", table_column=Column(ratio=1, no_wrap=True))
            self._bar = Bar(name, bar, news, console=self._console, expand=True)
            self._task = self._bar.add_task(describe, total=total_steps, completed=start_step, news="starting")
            self._bar.start()
        else:
            self.message(f"{describe}: step {start_step}/{total_steps}")

    def update(self, step: int, losses: dict[str, float], perf: dict[str, float]) -> None:
        """Show `step` (steps done) with its losses and speed."""
        now = time.monotonic()
        if self._first is None:
            self._first = step, now
        news = _news(step, self._total, losses, perf, self._seconds_left(step, now, perf))
        if self._bar is not None:
            self._bar.update(self._task, completed=step, news=news)
        elif now - self._last_line >= _LINE_SECONDS or step >= self._total:
            self._last_line = now
            self._print(news)

    def message(self, text: str) -> None:
        """Show a line of text, above the bar if there is one."""
        self._print(text)

    def close(self) -> None:
        """End the bar, leaving its last state on the terminal."""
        if self._bar is not None:
            try:
                self._bar.stop()
            except OSError:
                self._gone = True

    def _seconds_left(self, step: int, now: float, perf: dict[str, float]) -> float | None:
        assert self._first is not None
        first, since = self._first
        if step > first:
            return (self._total - step) * (now - since) / (step - first)
        if "step_seconds" in perf:
            return (self._total - step) * perf["step_seconds"]
        return None

    def _print(self, text: str) -> None:
        if self._gone:
            return
        try:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        except OSError:
            self._gone = True


def _news(step: int, total: int, losses: dict[str, float], perf: dict[str, float], left: float | None) -> str:
    """Speed first and losses last, because a narrow terminal cuts the end."""
    parts = [f"step {step}/{total}"]
    if "images_per_second" in perf:
        parts.append(f"{perf['images_per_second']:.4g} images/s")
    if "data_wait_fraction" in perf:
        parts.append(f"data wait {perf['data_wait_fraction']:.1%}")
    if left is not None:
        parts.append(f"ETA {_duration(left)}")
    parts += [f"{name} {value:.4g}" for name, value in losses.items() if not name.startswith(_FOR_FILES)]
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
