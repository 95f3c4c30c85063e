"""Addresses are checked before Ray spends a minute on them."""

import socket
import subprocess
import sys

import pytest

from gen_dist.cluster.session import check_address
from gen_dist.errors import UserError


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.1:10001", "Ray Client addresses are not supported; run 'gen-dist train' on a node"),
        ("somewhere", "must be HOST:PORT"),
        ("127.0.0.1:", "must be HOST:PORT"),
        ("127.0.0.1:99999", "must be HOST:PORT"),
    ],
)
def test_bad_addresses(address, message):
    with pytest.raises(UserError, match=message):
        check_address(address)


def test_an_address_where_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        check_address(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match="refused; is the Ray head node running there"):
        check_address(f"127.0.0.1:{port}")
    check_address("auto")


def test_what_is_changed_inside_ray_is_there():
    """A version of Ray without these names would ignore the changes, and start slowly or die with the terminal."""
    import ray._private.services
    import ray._private.utils
    import ray._private.worker
    from ray._private.node import Node

    assert all(callable(getattr(Node, f"start_{name}")) for name in ("monitor", "log_monitor", "api_server"))
    assert callable(ray._private.worker.print_to_stdstream)
    assert callable(ray._private.utils.set_sigterm_handler)
    assert issubclass(ray._private.services.ConsolePopen, subprocess.Popen)


def test_a_local_cluster_refuses_to_start_without_its_token():
    """Ray reads whether to ask for a token when it is imported: later is too late, and silently open to everyone."""
    code = "import ray; from gen_dist.cluster.session import local_cluster\nwith local_cluster(1, 100): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ray is imported already" in done.stderr
