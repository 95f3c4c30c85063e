"""The `gen-dist` command. Commands import what they need when they run, so that --help answers at once."""

import gc
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from gen_dist.errors import RunError, UserError
from gen_dist.garbage import collect_seldom
from gen_dist.launch.commands import (
    configs,
    diff,
    inspect,
    merge,
    prepare,
    split,
    status,
    stop,
    template,
    verify,
    version,
    warm_up,
)
from gen_dist.launch.doctor import doctor
from gen_dist.launch.node_commands import down, join, nodes, up
from gen_dist.launch.one_line import one_line
from gen_dist.launch.plan import plan
from gen_dist.launch.profile import profile
from gen_dist.launch.result_commands import (
    animate,
    evaluate,
    explore,
    export,
    generate,
    interpolate,
    latent,
    reconstruct,
    report,
    sync,
)
from gen_dist.launch.signals import Interrupted, stop_on_signals
from gen_dist.launch.train import train

# typer has used its own copy of click since 0.26: take the class from where it is used.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="gen-dist",
    help="Train VAEs and DCGANs on your own images, on one machine or many.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: tuple[Callable[..., Any], ...] = (
    train, doctor, plan, profile, status, stop, diff, up, join, nodes, down, prepare, inspect, verify, merge, split,
    generate, reconstruct, interpolate, latent, animate, explore, evaluate, report, export, sync, configs, template,
    warm_up, version,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run a command; bad input is one line and exit code 2, a failed run one message and exit code 1."""
    collect_seldom()
    try:
        with stop_on_signals(graceful=False, afterwards=signal.SIG_IGN):  # the exit code is decided then
            code = run()
    except Interrupted as error:
        code = error.exit_code
    gc.collect()  # ends the threads of a process group that is left in a cycle: at exit they may abort the process
    sys.exit(code)


def run() -> int:
    """The exit code of the command. Raises Interrupted."""
    try:
        return app(standalone_mode=False) or 0
    except UserError as error:
        print(f"gen-dist: {one_line(str(error))}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"gen-dist: {error}", file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"gen-dist: {one_line(error.format_message())} Try --help.", file=sys.stderr)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except SystemError as error:  # a signal's exception, as it comes out of Ray's C++ where that was waiting
        if isinstance(error.__cause__, Interrupted):
            raise error.__cause__ from None
        raise
    except BrokenPipeError:  # the reader of our output went away, as in `gen-dist configs | head -1`
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    main()
