"""`gen-dist explore`: a page for this machine's browser."""

import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from gen_dist.errors import RunError, UserError
from gen_dist.explorer.models import Model, names_of
from gen_dist.launch.latent import Wanted, encode_some
from gen_dist.results.latent_space import Cloud
from gen_dist.results.trained import Trained

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_RUNS, POINTS, MOST_PORT = 6, 1000, 65_535
MISSING = "gen-dist explore: needs starlette and uvicorn: pip install 'gen-dist-train[explore]'"
IDLE_SECONDS, MOST_AT_ONCE = 5, 64


def explore(runs: Sequence[Path], host: str, port: int, anyone: bool, browser: bool, raw: bool) -> None:
    """Serve the page until the command is interrupted.

    Raises:
        UserError: no run, no checkpoint, a host or port that cannot be used.
    """
    if len(runs) > MOST_RUNS:
        raise UserError(f"RUN: {len(runs)} runs; the page compares at most {MOST_RUNS}")
    if host not in LOOPBACK and not anyone:
        raise UserError(f"--host {host}: others could look, and upload images; if that is meant, add --anyone")
    if not 0 <= port <= MOST_PORT:
        raise UserError(f"--port {port}: must be between 0 (any that is free) and {MOST_PORT}")
    uvicorn = import_uvicorn()
    from gen_dist.explorer.app import make_app
    from gen_dist.explorer.patience import ImpatientProtocol

    models = [open_model(run, name, raw) for run, name in zip(runs, names_of(runs), strict=True)]
    with listening(host, port) as listener:
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
        print(f"{address} (Ctrl-C ends it)", flush=True)
        if browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            make_app(models, anyone), log_level="warning", access_log=False, server_header=False, lifespan="off",
            timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=2, limit_concurrency=MOST_AT_ONCE,
            http=ImpatientProtocol,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


def open_model(run: Path, name: str, raw: bool) -> Model:
    trained = Trained.open(run, raw)
    cloud: Cloud | None = None
    if trained.encodes:
        try:
            cloud, _ = encode_some(trained, Wanted(None, POINTS, 2, 0), downloads=False)
        except (UserError, RunError) as error:
            print(f"note: no images on the map of {name}: {error}")
    return Model(trained, name, cloud)


def listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio does not know that it is TCP, and the end of an answer waits 40 ms for the client's word.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UserError(f"--host {host} --port {port}: cannot listen there ({error.strerror}); give another") from None
    return listener


def import_uvicorn():  # type: ignore[no-untyped-def]
    """Raises UserError where it, or starlette, is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        raise UserError(MISSING) from None
    return uvicorn
