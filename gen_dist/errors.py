"""Errors that reach the user."""


class UserError(Exception):
    """Bad input. The command line prints the message as one line and exits with code 2.

    The message names the thing, the value, what is allowed and what to do.
    """


class RunError(Exception):
    """A run failed after it had started. Printed as one message, exit code 1; `detail` goes to the run's log."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class FaultyRank(RunError):
    """All ranks found together that one of them computes what no other does. Names where; `rank` is that one."""

    def __init__(self, message: str, rank: int) -> None:
        super().__init__(message)
        self.rank = rank
