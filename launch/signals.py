"""SIGINT, SIGTERM and SIGHUP: finish the step, write a checkpoint, leave. A SIGINT after that: leave at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(BaseException):
    """A signal ended the command where it was. No KeyboardInterrupt, which typer takes for itself."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class StopRequest:
    """Which signal asked the run to stop, if any.

    While `graceful`, a signal is only noted, for someone to look at between steps; before, when there is no step to
    finish, it raises.
    """

    def __init__(self, graceful: bool = True) -> None:
        self.graceful = graceful
        self.signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        return 128 + self.signal_number if self.signal_number else 0

    def hold(self) -> None:
        """From here on a signal is only noted: something is being made that must not be left half-made."""
        self.graceful = True

    def release(self) -> None:
        """Raises Interrupted where a signal was noted since `hold`, and from here on where one comes."""
        self.graceful = False
        if self.signal_number is not None:
            raise Interrupted(self.signal_number)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        impatient = number == signal.SIGINT and self.signal_number is not None
        self.signal_number = self.signal_number or number
        if impatient or not self.graceful:
            raise Interrupted(number)


HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signals(graceful: bool = True, afterwards: signal.Handlers | None = None) -> Iterator[StopRequest]:
    """While this lasts, those signals go to the request; afterwards to whom they went before, or to `afterwards`.

    A SIGHUP that `nohup` has us ignore stays ignored.

    Raises:
        Interrupted: a signal came before, and what it raised was lost: some libraries, when imported, catch anything.
    """
    request = StopRequest(graceful)
    before = {number: signal.getsignal(number) for number in HANDLED}
    outer = getattr(before[signal.SIGTERM], "__self__", None)
    if isinstance(outer, StopRequest) and not outer.graceful and outer.signal_number is not None:
        raise Interrupted(outer.signal_number)
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, request.on_signal)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if afterwards is None else afterwards)
