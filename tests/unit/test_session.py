"""Addresses are checked before Ray spends a minute on them."""

import inspect
import socket
import subprocess
import sys

import pytest
from ray._private.state import GlobalState

from gen_dist.cluster import adapting_ray
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
    assert list(inspect.signature(ray._private.services.get_node).parameters) == ["gcs_address", "node_id"]


def test_ray_is_asked_for_a_node_once_it_is_known(monkeypatch):
    """Where it is not, Ray sleeps for a second before it looks again."""
    known = iter([[], [{"NodeID": "other"}], [{"NodeID": "other"}, {"NodeID": "this"}]])
    asked = []
    monkeypatch.setattr(GlobalState, "_initialize_global_state", lambda state, options: None)
    monkeypatch.setattr(GlobalState, "node_table", lambda state: next(known))
    found = adapting_ray._get_node(lambda *of: asked.append(of) or "it", "127.0.0.1:1", "this")
    assert found == "it"
    assert asked == [("127.0.0.1:1", "this")]
    assert not list(known)


def test_ray_is_asked_too_for_a_node_that_does_not_come(monkeypatch):
    monkeypatch.setattr(GlobalState, "_initialize_global_state", lambda state, options: None)
    monkeypatch.setattr(GlobalState, "node_table", lambda state: [])
    monkeypatch.setattr(adapting_ray, "REGISTER_SECONDS", 0.1)
    assert adapting_ray._get_node(lambda *of: "what Ray says", "127.0.0.1:1", "this") == "what Ray says"


def test_a_local_cluster_refuses_to_start_without_its_token():
    """Ray reads whether to ask for a token when it is imported: later is too late, and silently open to everyone."""
    code = "import ray; from gen_dist.cluster.session import local_cluster\nwith local_cluster(1, 100): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ray is imported already" in done.stderr
