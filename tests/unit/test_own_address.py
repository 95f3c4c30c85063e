"""Which address a Ray node gets."""

import sys

import pytest

from gen_dist.cluster.own_address import choose_address, own_interfaces, source_address
from gen_dist.errors import UserError

LAPTOP = {"192.168.1.5": "wlan0", "172.17.0.1": "docker0"}
ONE = {"10.0.0.7": "eth0"}


@pytest.mark.parametrize(
    ("interfaces", "routed", "asked", "expected"),
    [
        (LAPTOP, "192.168.1.5", None, "wlan0, towards the default route; not used: 172.17.0.1 (docker0)"),
        (LAPTOP, "192.168.1.5", "172.17.0.1", "docker0, as asked; not used: 192.168.1.5 (wlan0)"),
        (ONE, None, None, "eth0, the only one"),
        (ONE, "127.0.0.1", None, "eth0, the only one"),
    ],
)
def test_the_choice_and_its_reason(interfaces, routed, asked, expected):
    chosen = choose_address(interfaces, routed, asked, "the default route")
    assert chosen.describe() == expected
    assert interfaces[chosen.address] == chosen.interface


@pytest.mark.parametrize(
    ("interfaces", "asked", "message"),
    [
        ({}, None, "no network address that others reach"),
        (LAPTOP, None, r"no route to 10.9.9.9: choose with --node-ip-address one of 192.168.1.5 \(wlan0\), 172"),
        (ONE, "127.0.0.1", r"--node-ip-address 127.0.0.1: must be one of this machine's: 10.0.0.7 \(eth0\)"),
    ],
)
def test_what_cannot_be_chosen(interfaces, asked, message):
    with pytest.raises(UserError, match=message):
        choose_address(interfaces, None, asked, "10.9.9.9")


def test_this_machine_leaves_out_loopback():
    assert not any(address.startswith("127.") for address in own_interfaces())
    assert source_address("127.0.0.1") == "127.0.0.1"


@pytest.mark.netns
def test_a_host_finds_its_address(hosts):
    code = "from gen_dist.cluster.own_address import own_address_towards as f; print(f(None, None).describe())"
    with hosts(1) as [host]:
        assert host.run([sys.executable, "-c", code]).stdout == "eth0, towards the default route\n"
