import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from gen_dist.record import progress as module
from gen_dist.record.progress import Progress

PERF = {"images_per_second": 312.4, "data_wait_fraction": 0.0123, "step_seconds": 0.5}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_plain_lines_say_it_all_at_most_once_a_second(clock: Callable[[float], None]) -> None:
    out = io.StringIO()
    progress = Progress(200, 100, "vae", console=Console(file=out, width=20))  # narrow: lines stay whole
    for step in range(101, 201):
        progress.update(step, {"loss": 0.5, "[kl]": 12.3456}, PERF)
        clock(0.25)
    progress.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "vae: step 100/200"
    assert lines[1] == "step 101/200  312.4 images/s  data wait 1.2%  ETA 0:50  loss 0.5  [kl] 12.35"
    assert lines[2].startswith("step 105/200")
    assert "ETA 0:24" in lines[2]
    assert lines[-1].startswith("step 200/200")
    assert len(lines) == 27


def test_a_bar_on_a_terminal() -> None:
    out = io.StringIO()
    progress = Progress(4, 0, "dcgan", console=Console(file=out, force_terminal=True, width=120))
    for step in range(1, 5):
        progress.update(step, {"generator": 1.5}, PERF)
    progress.message("a [bold]word[/bold]")
    progress.close()
    progress.close()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "dcgan ━" in text
    assert "step 4/4  312.4 images/s  data wait 1.2%  ETA 0:00" in text
    assert "a [bold]word[/bold]" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_output_that_goes_away_stops_nothing(terminal: bool) -> None:
    class Closed(io.StringIO):
        failures = 0
        broken = False

        def write(self, text: str) -> int:
            if self.broken:
                Closed.failures += 1
                raise OSError("gone")
            return super().write(text)

    out = Closed()
    progress = Progress(10, 0, "vae", console=Console(file=out, force_terminal=terminal))
    out.broken = True
    for step in range(1, 11):
        progress.update(step, {"loss": 1.0}, PERF)
        progress.message("hello")
    progress.close()
    assert Closed.failures


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")])
def test_durations(seconds: float, text: str) -> None:
    assert module._duration(seconds) == text
