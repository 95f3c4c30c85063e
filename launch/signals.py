"""SIGINT, SIGTERM and SIGHUP: finish the step, write a checkpoint, leave. A second SIGINT: leave at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Which signal asked the run to stop, if any."""

    signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        return 128 + self.signal_number if self.signal_number else 0

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = self.signal_number or number


HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in HANDLED}
    install(request)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def install(request: StopRequest) -> None:
    """Also called after ray.init, which sets a SIGTERM handler of its own that exits at once."""
    for number in HANDLED:
        signal.signal(number, request.on_signal)
