"""What a machine keeps about its Ray node, and which token a driver connects with."""

import os
import stat
from pathlib import Path

import pytest

from gen_dist.cluster import session
from gen_dist.cluster.node_processes import is_running, last_line, node_environment, node_processes
from gen_dist.cluster.node_record import (
    NodeRecord,
    forget_node,
    read_record,
    read_token,
    record_folder,
    record_locked,
    resolved,
    way_to,
    write_record,
    write_token,
)
from gen_dist.errors import UserError

HEAD = NodeRecord("head", "10.0.0.1:6379", "10.0.0.1", "eth0", "/tmp/gd-none", 4_000_000)
MEMBER = NodeRecord("member", "10.0.0.1:6379", "10.0.0.2", "eth0", "/tmp/gd-none", 4_000_000)
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "kept-here"}


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("address", "record", "environment", "expected"),
    [
        ("10.0.0.1:6379", MEMBER, {}, ("10.0.0.1:6379", MEMBER, TOKEN)),
        ("auto", MEMBER, {}, ("10.0.0.1:6379", MEMBER, TOKEN)),
        ("auto", HEAD, {}, ("10.0.0.1:6379", HEAD, TOKEN)),
        ("127.0.0.1:6379", HEAD, {}, ("10.0.0.1:6379", HEAD, TOKEN)),
        ("127.0.0.1:6379", MEMBER, {}, ("127.0.0.1:6379", None, {})),
        ("127.0.0.1:7000", HEAD, {}, ("127.0.0.1:7000", None, {})),
        ("10.0.0.9:6379", MEMBER, {}, ("10.0.0.9:6379", None, {})),  # another cluster is not told the token
        ("auto", None, {}, ("auto", None, {})),
        ("auto", HEAD, {"RAY_AUTH_TOKEN": "mine"}, ("10.0.0.1:6379", HEAD, {})),
        ("auto", HEAD, {"RAY_AUTH_TOKEN_PATH": "/mine"}, ("10.0.0.1:6379", HEAD, {})),
        ("auto", HEAD, {"RAY_AUTH_TOKEN": ""}, ("10.0.0.1:6379", HEAD, TOKEN)),
    ],
)
def test_the_way_to_a_cluster(address, record, environment, expected):
    way = way_to(address, record, "kept-here", environment)
    assert (way.address, way.record, way.environment) == expected


def test_names_become_addresses():
    assert resolved("localhost:6379") == "127.0.0.1:6379"
    assert resolved("no-such-host.invalid:6379") == "no-such-host.invalid:6379"
    assert resolved("auto") == "auto"


def test_what_is_kept_is_private_and_forgotten(state):
    assert (read_record(), read_token()) == (None, None)
    with record_locked():
        write_record(MEMBER)
        write_token("secret-token")
        with pytest.raises(UserError, match="another 'gen-dist up', 'join' or 'down' is at work"), record_locked():
            pass
    assert (read_record(), read_token()) == (MEMBER, "secret-token")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in record_folder().iterdir()}
    assert modes == {"node.json": 0o600, "token": 0o600, "lock": 0o600}
    assert stat.S_IMODE(record_folder().stat().st_mode) == 0o700
    forget_node()
    forget_node()
    assert (read_record(), read_token()) == (None, None)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"role": "head"}'])
def test_a_damaged_record_is_named(state, text):
    record_folder().mkdir(parents=True)
    (record_folder() / "node.json").write_text(text)
    with pytest.raises(UserError, match="node.json: not a record of a Ray node"):
        read_record()


def test_a_state_folder_that_cannot_be_made(state, monkeypatch):
    (state / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(state / "file"))
    with pytest.raises(UserError, match="Not a directory; set XDG_STATE_HOME"), record_locked():
        pass


def test_a_node_that_has_ended_is_not_connected_through(state):
    """Nor is there a wait for Ray, which would look for it for a minute."""
    with record_locked():
        write_record(MEMBER)
    assert (is_running(MEMBER), node_processes(MEMBER)) == (False, [])
    with (
        pytest.raises(UserError, match="--address auto: .* has ended; 'gen-dist join 10.0.0.1:6379' starts it again"),
        session.joined_cluster("auto"),
    ):
        pass


def test_processes_of_the_node_are_told_from_drivers(tmp_path):
    """Both have files open in its folder; those of another session are drivers."""
    with open(tmp_path / "log", "w"):
        mine = NodeRecord("head", "h:1", "h", "eth0", str(tmp_path), os.getsid(0))
        assert os.getpid() in node_processes(mine)
        other = NodeRecord("head", "h:1", "h", "eth0", str(tmp_path), 4_000_000)
        assert node_processes(other) == []


def test_processes_get_the_token_as_a_file_and_nothing_of_another_cluster():
    before = {"RAY_AUTH_TOKEN": "other", "RAY_AUTH_TOKEN_PATH": "/other", "RAY_ADDRESS": "other:1", "HOME": "/home/me"}
    after = node_environment(before, Path("/state/token"))
    assert after["RAY_AUTH_TOKEN_PATH"] == "/state/token"
    assert (after["RAY_AUTH_MODE"], after["HOME"]) == ("token", "/home/me")
    assert not {"RAY_AUTH_TOKEN", "RAY_ADDRESS"} & {*after}


def test_the_last_line_of_an_error():
    assert last_line("Traceback\n  File\nValueError: port taken\n\n") == "ValueError: port taken"
    assert last_line(" \n") == "it printed nothing"
