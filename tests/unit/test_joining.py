"""Joining and starting a head, without Ray: tokens, versions, what is said."""

import io
import socket
from dataclasses import replace

import pytest

from gen_dist.cluster.head_probe import HeadFacts, Versions, mismatch
from gen_dist.cluster.node_record import NodeRecord
from gen_dist.cluster.own_address import OwnAddress
from gen_dist.cluster.session import make_folder
from gen_dist.errors import UserError
from gen_dist.launch import joining, listing, up
from gen_dist.launch.nodes import Wish, end_this_node
from gen_dist.launch.tokens import asked_token, given_token

HERE = Versions("2.60.0", "3.11.7", "0.1", "abc")
HEAD = NodeRecord("head", "10.0.0.1:6379", "10.0.0.1", "eth0", "/tmp/gd-x", 1)
MEMBER = NodeRecord("member", "10.0.0.1:6379", "10.0.0.2", "eth0", "/tmp/gd-x", 1)
WISH = Wish(None, 2, 200, None, block=False)
TWO = HeadFacts(HERE, {"10.0.0.1": (4, 0), "10.0.0.2": (8, 1)})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"python": "3.11.9"}, None),
        ({"source": None, "gen_dist": None}, None),  # a head that `ray start` started
        ({"ray": "2.61.0"}, "Ray 2.60.0 here, 2.61.0 there"),
        ({"python": "3.12.7"}, "Python 3.11.7 here, 3.12.7 there"),
        ({"gen_dist": "0.2", "source": "def"}, "gen-dist 0.1 here, 0.2 there"),
        ({"source": "def"}, "gen-dist 0.1 here, 0.1 there with other source code"),
    ],
)
def test_versions_that_keep_a_machine_from_joining(change, expected):
    assert mismatch(HERE, replace(HERE, **change)) == expected


def test_a_token_comes_from_options_then_from_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(" from-input \n"))
    variable, path = {"RAY_AUTH_TOKEN": "from-variable"}, {"RAY_AUTH_TOKEN_PATH": str(file)}
    assert given_token("from-option", None, variable) == "from-option"
    assert given_token(None, file, variable) == "from-file"
    assert given_token(None, type(file)("-"), variable) == "from-input"
    assert given_token(None, None, variable | path) == "from-variable"
    assert given_token(None, None, path) == "from-file"
    assert given_token(None, None, {}) is None


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("one-token", "there", "--token and --token-file: give one of them"),
        ("", None, "--token: a token is 8 to 512"),
        ("with a space", None, "--token: a token is 8 to 512"),
        (None, "nowhere", "nowhere: No such file or directory; name the file"),
        (None, "there", "there: a token is 8 to 512 letters, digits and signs without a space; got 3"),
    ],
)
def test_bad_tokens(tmp_path, option, name, message):
    (tmp_path / "there").write_text("abc")
    with pytest.raises(UserError, match=message) as refused:
        given_token(option, tmp_path / name if name else None, {})
    assert "with a space" not in str(refused.value), "it may be somebody's secret"


def test_nobody_to_ask_for_a_token(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("piped"))
    with pytest.raises(UserError, match="no token: give --token-file FILE, --token TOKEN or RAY_AUTH_TOKEN"):
        asked_token()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["refused"], "join h:1: refused the token; give the one that 'gen-dist up' said there"),
        (["no answer"], r"join h:1: something listens there, but no Ray head answers \(no answer\)"),
        ([TWO, TWO], "join h:1: takes any token, so whoever reaches it can run code there"),
        ([HeadFacts(replace(HERE, ray="1.0"), {}), "refused"], "join h:1: Ray .* here, 1.0 there; install the same"),
    ],
)
def test_heads_that_are_not_joined(monkeypatch, answers, message):
    remaining = iter(answers)
    monkeypatch.setattr(joining, "ask_head", lambda address, token: next(remaining))
    with pytest.raises(UserError, match=message):
        joining.check_head("h:1", "h:1", "token-token", 0.0)
    assert list(remaining) == []


def test_up_or_joined_already():
    assert up.already(HEAD, None, WISH).startswith("up already: the Ray head 10.0.0.1:6379 (eth0); others join with")
    assert up.already(HEAD, 6379, replace(WISH, node_ip_address="10.0.0.1")).startswith("up already")
    assert joining.already(MEMBER, "10.0.0.1:6379", WISH).startswith("joined already: this machine is")
    for refused in (
        lambda: up.already(HEAD, 7000, WISH),
        lambda: up.already(HEAD, None, replace(WISH, node_ip_address="10.0.0.9")),
        lambda: up.already(MEMBER, None, WISH),
        lambda: joining.already(MEMBER, "10.0.0.9:6379", WISH),
        lambda: joining.already(HEAD, "10.0.0.1:6379", WISH),
    ):
        with pytest.raises(UserError, match="'gen-dist down' ends"):
            refused()


def test_a_token_that_the_user_gave_is_not_printed():
    own = OwnAddress("10.0.0.1", "eth0", "the only one", {})
    made, given = ("\n".join(up.report(HEAD, own, TWO, token)) for token in ("made-here", None))
    assert "gen-dist join 10.0.0.1:6379 --token made-here" in made
    assert "gen-dist join 10.0.0.1:6379 --token-file FILE" in given
    assert "the Ray head 10.0.0.1:6379 (eth0, the only one), 2 machines, 12 CPUs, 1 GPU" in made


def test_a_port_in_use():
    with socket.create_server(("", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: Address already in use; end what uses it"):
            up.check_port(port)
    up.check_port(port)


@pytest.mark.parametrize(
    ("folder", "message"), [("/tmp/" + "x" * 40, "at most 28 letters"), ("/tmp/no-such", "No such file")]
)
def test_bad_folders_for_ray(folder, message):
    with pytest.raises(UserError, match=f"--temp-dir {folder}: .*{message}"):
        make_folder(folder)


def test_machines_are_listed_head_marked():
    assert listing.table("10.0.0.1:6379", TWO) == [
        "10.0.0.1  CPUs   4  head", "10.0.0.2  CPUs   8  GPUs 1", "2 machines, 12 CPUs, 1 GPU",
    ]  # fmt: skip


def test_waiting_for_machines_ends(monkeypatch):
    monkeypatch.setattr(listing, "check_address", lambda address: None)
    monkeypatch.setattr(listing, "ask_head", lambda address, token: TWO)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "token-token")
    with pytest.raises(UserError, match="--wait-for 3: the cluster has 2 machines, .*; join more, or wait longer"):
        listing.list_machines("10.0.0.1:6379", None, 3, 0)


def test_nothing_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert end_this_node() == 0
    assert capsys.readouterr().out.startswith("nothing to end")
