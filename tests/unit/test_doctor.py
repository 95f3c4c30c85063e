"""What `gen-dist doctor` makes of facts, and what it prints of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gen_dist.cluster.examination import Clock, Copy, Examination, Examined, Here, Wanted, find_copy
from gen_dist.cluster.interfaces import Interface
from gen_dist.cluster.links import Link
from gen_dist.cluster.node_facts import Disk, NodeFacts
from gen_dist.cluster.placement import Node
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError
from gen_dist.launch.doctor import wanted_pack
from gen_dist.launch.doctor_findings import judge
from gen_dist.launch.doctor_printing import as_json, show, verdict

SOFTWARE = {"python": "3.11.7", "gen-dist": "0.1.0", "source": "ab" * 32, "torch": "2.13.0+cpu", "numba": "0.68.1",
            "ray": "2.60.0", "numpy": "2.4.6"}  # fmt: skip
ROOM = Disk("/home/me/.cache/gen-dist", int(50e9), True)
WIRE = Interface("eth0", "192.0.2.7", loopback=False, wireless=False, megabits=1000, towards_internet="eth0")
FACTS = NodeFacts(
    host="laptop", software=SOFTWARE, broken=[], processor="x86_64", instructions=["avx2"], cpus=4, cpu_quota=None,
    load=0.3, machine_cpus=4, memory_bytes=int(16e9), memory_free_bytes=int(12e9), gpus=[], cuda=False,
    interface=WIRE, cache=ROOM, temporary=ROOM,
)  # fmt: skip
FAST = Link(117e6, 0.0001)
WANTED = Wanted("/data/faces", Path("/data/faces"), "cd" * 32, int(500e6))
GPU = {"gpus": ["NVIDIA H100"], "cuda": True}
BF16 = {"instructions": ["avx2", "avx512", "avx512-bf16"]}


def examination(changes=None, node=None, links=None, here=None, data=None, **more):
    """Three laptops without fault, but for what is changed: `changes` and `node` of the last one."""
    nodes = [
        Examined(Node(f"id{i}", f"laptop-{i}", f"192.0.2.{i}", 4, 0), FACTS, Clock(0.0001, 0.001), data)
        for i in range(3)
    ]
    facts = changes if isinstance(changes, str) else replace(FACTS, **(changes or {}))
    nodes[2] = replace(nodes[2], facts=facts, node=replace(nodes[2].node, **(node or {})), **more.pop("last", {}))
    pairs = {(a, b): FAST for a in range(3) for b in range(3) if a != b}
    return Examination(
        replace(Here(SOFTWARE, ROOM, joined=True), **(here or {})), nodes, {**pairs, **(links or {})}, **more
    )


def software(**changes):
    return {"software": {**SOFTWARE, **changes}}


def test_nothing_is_found_where_nothing_is_wrong():
    assert judge(examination()) == []
    assert judge(examination(software(python="3.11.9", torch="2.13.0+cu128"))) == []


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (examination("no answer within 60 s"), "laptop-2: cannot be asked: no answer within 60 s; see that it is con"),
        (examination(software(torch="2.12.1")), "laptop-2: torch 2.12.1, here 2.13.0.cpu; install the same versions"),
        (examination(software(python="3.12.7", source="f" * 64)), "laptop-2: python 3.12.7, here 3.11.7; other source"),
        (examination({"broken": ["numba: ImportError: x"]}), "laptop-2: cannot import numba: ImportError: x; install"),
        (examination({"interface": replace(WIRE, name="")}), "laptop-2: no interface has the address 192.0.2.7"),
        (examination({"interface": replace(WIRE, loopback=True, address="127.0.0.1")}), "no other machine reaches"),
        (examination({"temporary": replace(ROOM, free_bytes=10)}), "laptop-2: temporary folder .* 0 MB free on its"),
        (examination({"cache": replace(ROOM, free_bytes=int(9e7))}), "laptop-2: cache folder .* 90 MB free on its"),
        (examination(here={"runs": replace(ROOM, writable=False)}), "this machine: no right to write to the run fol"),
        (examination({"memory_free_bytes": int(3e8)}), "laptop-2: 300 MB of 16.0 GB memory free; too little for a wor"),
        (examination(links={(0, 2): "refused"}), "laptop-0 → laptop-2: no connection: refused; let all TCP ports"),
        (examination(links={(0, 2): "a", (2, 0): "b"}), "laptop-0 ↔ laptop-2: no connection: a; let all TCP ports"),
        (examination(cpus_taken=12), "cluster: 12 of 12 CPUs are taken by other work; wait for it"),
        (
            examination({"cache": replace(ROOM, free_bytes=int(3e8))}, here={"wanted": WANTED},
                        last={"copy": Copy("missing", "/data/faces")}),
            "laptop-2: no pack at '/data/faces', and no room to send it there; make 700 MB free .*; 300 MB are",
        ),
        (
            examination({"cache": None}, here={"wanted": WANTED}, last={"copy": Copy("other", "/data/faces")}),
            "laptop-2: other images in '/data/faces' than here, and no room to send it there; set XDG_CACHE_HOME",
        ),
    ],
)  # fmt: skip
def test_what_breaks_a_run(found, text):
    first, *others = judge(found)
    assert first.breaks
    assert_says(first, text)
    assert not any(finding.breaks for finding in others)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (examination(node={"cpus": 8}), "laptop-2: Ray counts 8 CPUs, there are 4; start Ray there with --num-cpus 4"),
        (examination({"cpu_quota": 0.5}), "laptop-2: a quota leaves 0.5 of its 4 CPUs; raise it, or let Ray count"),
        (examination(node={"cpus": 0}), "laptop-2: Ray counts no CPU there, so it gets no worker"),
        (examination({"load": 2.5}), "laptop-2: busy: 2.5 processes wanted its 4 CPUs in the last minute"),
        (examination({"memory_free_bytes": int(2e9)}), "2.0 GB of memory free, for some 2 workers; Ray counts 4 CPUs"),
        (examination({"cache": None}), "laptop-2: no folder for compiled kernels, so every worker compiles"),
        (examination({"cache": replace(ROOM, free_bytes=int(1e9))}), "laptop-2: cache folder .*: 1.0 GB free on its"),
        (examination({"interface": replace(WIRE, name="wlan0", wireless=True)}), "laptop-2: wlan0 is wireless; a cab"),
        (examination(last={"clock": Clock(-75.2, 0.01)}), "laptop-2: its clock is 75.2 s behind this machine's"),
        (examination(links={(0, 1): Link(1e6, 1e-3), (1, 2): Link(5e5, 1e-3)}), "links: 2 of 6 .* laptop-1 → laptop-2"),
        (examination(links={(0, 1): Link(1e8, 0.05)}), "links: 1 of 6 take over 20 ms, .* laptop-1 with 50 ms"),
        (examination(cpus_taken=3), "cluster: 3 of 12 CPUs are taken by other work"),
        (examination(GPU, node={"gpus": 1}), "no GPU on laptop-0, laptop-1, so train.device=auto trains on CPUs"),
        (
            examination(here={"wanted": WANTED}, last={"copy": Copy("missing", "/x")}),
            "no pack at '/x'; 500 MB are sent",
        ),
    ],
)
def test_what_costs_speed(found, text):
    finding, *others = judge(found)
    assert not finding.breaks
    assert_says(finding, text)
    assert others == []


@pytest.mark.parametrize(
    ("found", "texts"),
    [
        (examination(GPU), ["laptop-2: has 1 GPU, Ray counts 0; start Ray", "cluster: no GPU on laptop-0, laptop-1"]),
        (examination({**GPU, "cuda": False}, node={"gpus": 1}), ["a torch that was built for CPUs", "no GPU on"]),
        (examination(BF16), ["no bf16 in the processor of laptop-0, laptop-1, so", "may differ in the last bits"]),
    ],
)
def test_findings_that_come_together(found, texts):
    findings = judge(found)
    assert not any(finding.breaks for finding in findings)
    assert len(findings) == len(texts)
    for finding, text in zip(findings, texts, strict=True):
        assert_says(finding, text)


def assert_says(finding, text):
    assert re.search(text, str(finding)), str(finding)


def test_one_machine_may_use_loopback():
    loopback = {"interface": replace(WIRE, name="lo", loopback=True, address="127.0.0.1")}
    found = examination(loopback, here={"joined": False})
    alone = replace(found, nodes=found.nodes[2:], links={})
    assert judge(alone) == []


def test_what_breaks_a_run_comes_first():
    found = judge(examination({"load": 9.0, **software(ray="2.50.0")}))
    assert [finding.breaks for finding in found] == [True, False]
    assert verdict(found) == "1 thing to fix before a run"
    assert verdict(found[1:]) == verdict([]) == "nothing would break a run"


def test_nodes_of_one_name_are_told_apart():
    found = examination(node={"host": "laptop-1"})
    assert [found.label(i) for i in range(3)] == ["laptop-0", "laptop-1 (192.0.2.1)", "laptop-1 (192.0.2.2)"]


def test_plain_lines(capsys):
    wrong = {(0, 2): "refused\x1b[31m", (2, 0): Link(30e6, 0.0125)}
    found = examination("it died", links=wrong, here={"wanted": WANTED})
    show(found, judge(found))
    out = capsys.readouterr().out
    for line in (
        "laptop-0\n  address       192.0.2.0\n  gen-dist      0.1.0, source abababababab\n  python        3.11.7\n",
        "  processor     x86_64 avx2\n  CPUs          4, Ray counts 4\n  load          0.3 of 4\n",
        "  interface     eth0: it has 192.0.2.7, by which Ray knows this node, 1000 Mbit/s\n",
        "  clock         the same within 1.0 ms\n",
        "laptop-2\n  address       192.0.2.2\n  not examined  it died\n",
        "laptop-0 → laptop-1: 936 Mbit/s, 0.1 ms\n",
        "laptop-0 → laptop-2: no connection: refused\\x1b[31m\n",
        "laptop-2 → laptop-0: 240 Mbit/s, 12 ms\n",
        "run folder: below /home/me/.cache/gen-dist, 50.0 GB free\n",
        "to fix: laptop-2: cannot be asked: it died; ",
    ):
        assert line in out
    assert out.endswith("\n2 things to fix before a run\n")
    assert "\x1b" not in out


def test_tables_on_a_terminal(capsys, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    found = examination("it died", links={(0, 2): "refused"})
    show(found, judge(found))
    out = capsys.readouterr().out
    for text in (
        "laptop-0",
        "laptop-1",
        "laptop-2",
        "it died",
        "936 Mbit/s, 0.1 ms",
        "no connection: refused",
        "to fix",
    ):
        assert text in out
    many = Examination(found.here, [found.nodes[0]] * 8, {(0, 7): FAST})
    show(many, [])
    assert capsys.readouterr().out.count("x86_64") == 8


def test_json_holds_everything():
    found = examination(links={(0, 2): "refused"}, here={"wanted": WANTED}, last={"copy": Copy("same", "/x")})
    told = json.loads(as_json(found, judge(found)))
    assert told["ok"] is False
    assert told["findings"][0]["where"] == "laptop-0 → laptop-2"
    assert [node["name"] for node in told["nodes"]] == ["laptop-0", "laptop-1", "laptop-2"]
    assert [NodeFacts.from_plain(node["facts"]) for node in told["nodes"]] == [FACTS] * 3
    assert {"from": "laptop-0", "to": "laptop-2", "error": "refused"} in told["links"]
    assert {"from": "laptop-0", "to": "laptop-1", "bytes_per_second": 117e6, "latency_seconds": 0.0001} in told["links"]
    assert told["nodes"][2]["data"] == {"state": "same", "where": "/x"}
    assert told["data"]["content_hash"] == WANTED.content_hash


def test_copies_of_a_pack(tiny_pack, tmp_path, monkeypatch):
    from tests.conftest import write_pack

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wanted = wanted_pack(str(tiny_pack))
    assert wanted.content_hash == Pack.open(tiny_pack).content_hash
    assert wanted.bytes > 37 * 16 * 16 * 3
    assert find_copy(wanted) == Copy("same", str(tiny_pack))
    elsewhere = replace(wanted, pack=tmp_path / "pack")
    assert find_copy(elsewhere) == Copy("missing", str(tmp_path / "pack"))
    write_pack(tmp_path / "pack", images=5)
    assert find_copy(elsewhere) == Copy("other", str(tmp_path / "pack"))
    (tmp_path / "pack" / "checksums.npy").write_bytes(b"")
    assert find_copy(elsewhere).state == "damaged"
    shipped = tmp_path / "cache" / "gen-dist" / "packs" / "shipped" / wanted.content_hash
    shipped.parent.mkdir(parents=True)
    shipped.symlink_to(tiny_pack)
    assert find_copy(elsewhere) == Copy("same", str(shipped))
    assert find_copy(replace(elsewhere, name="bundled:emoji")).state == "same"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/nowhere", "--data /nowhere: no such pack; give the folder of one"),
        ("dcgan-64", "--data dcgan-64: this preset names no data"),
        ("gan-mnist32", "--data gan-mnist32: no pack at 'mnist'; make one with 'gen-dist prepare mnist PACK --size S'"),
        ("bundled:nope", "bundled pictures 'nope': unknown name"),
    ],
)
def test_data_that_cannot_be_asked_for(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        wanted_pack(text)
