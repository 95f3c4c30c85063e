"""What Ray has no setting for, changed in this process before it starts or joins anything."""

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REGISTER_SECONDS, ASK_SECONDS = 5.0, 0.02


def adapt_ray() -> None:
    """Change what Ray has no setting for; the first two save much of the start, and of the end."""
    import ray._private.services
    import ray._private.utils
    import ray._private.worker
    from ray._private.node import Node as RayNode

    def nothing(*args: object, **kwargs: object) -> None:
        pass

    # A local run uses neither the autoscaler's monitor, the log monitor nor the dashboard, and would wait for them.
    for name in ("start_monitor", "start_log_monitor", "start_api_server"):
        setattr(RayNode, name, nothing)
    services = vars(ray._private.services)
    services["get_node"] = partial(_get_node, services["get_node"])
    # Ray prints a paragraph for each dead worker; the supervisor says it in a line.
    ray._private.worker.print_to_stdstream = nothing
    # Nor is it news that questions to a lost one stay without an answer.
    ray._private.worker._unhandled_error_handler = nothing
    # Ray's handler of SIGTERM exits at once; ours finishes the step.
    ray._private.utils.set_sigterm_handler = nothing
    # A signal to our process group, such as a closing terminal's, must reach Ray's processes through us only.
    services["ConsolePopen"] = partial(_start_process, services["ConsolePopen"])


def _get_node(ask: Callable[[str, str], T], gcs_address: str, node_id: str) -> T:
    """Ray asks a tenth of a second after it has started a node, and then sleeps for a second if it is not known yet."""
    from ray._private.services import _get_gcs_client_options
    from ray._private.state import GlobalState

    state = GlobalState()
    state._initialize_global_state(_get_gcs_client_options(gcs_address))
    deadline = time.monotonic() + REGISTER_SECONDS
    while time.monotonic() < deadline and all(node["NodeID"] != node_id for node in state.node_table()):
        time.sleep(ASK_SECONDS)
    return ask(gcs_address, node_id)


def _start_process(
    popen: Callable[..., T], *args: object, preexec_fn: Callable[[], None] | None = None, **options: object
) -> T:
    """Start one of Ray's processes in a group of its own, and without the mask of `signals_held`."""

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if preexec_fn is not None:
            preexec_fn()

    return popen(*args, preexec_fn=prepare, process_group=0, **options)
