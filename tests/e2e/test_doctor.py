"""`gen-dist doctor` as a user meets it: on this machine, and on three hosts of which one is not as it should be."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.command import COMMAND, ROOT, environment, finish, gen_dist, start, traces, wait_for

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "fedcba9876543210" * 4}
PORT = 6379


def test_this_machine(tiny_pack, tmp_path):
    process = start(["doctor", "--data", tiny_pack], tmp_path)
    done = finish(process)
    assert (done.code, done.err) == (0, ""), done.out
    for text in (
        "  interface     lo",
        ": all workers are on this machine\n",
        ": the same, ",
        "nothing would break a run\n",
    ):
        assert text in done.out
    assert traces(process.pid) == []
    assert os.listdir(tmp_path) == []


def test_an_interrupt_leaves_nothing(tmp_path):
    process = start(["doctor"], tmp_path)
    wait_for(lambda: any("gcs_server" in trace for trace in traces(process.pid)))  # Ray is being started
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.code, done.out) == (130, ""), done.err
    assert "Traceback" not in done.err
    wait_for(lambda: traces(process.pid) == [], seconds=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--address", "127.0.0.1:1"],
            "--address 127.0.0.1:1: Connection refused; is the Ray head node running there?",
        ),
        (["--data", "/nowhere"], "--data /nowhere: no such pack; give the folder of one, bundled:NAME or a preset"),
    ],
)
def test_bad_input(arguments, message, tmp_path):
    done = gen_dist("doctor", *arguments, cwd=tmp_path)
    assert (done.code, done.out, done.err) == (2, "", f"gen-dist: {message}\n")


@pytest.mark.netns
@pytest.mark.slow
def test_a_cluster_in_which_much_is_wrong(hosts, tiny_pack):
    """One host has other source, more CPUs than there are, no copy of the data, and no way to one of the others."""
    with own_folder() as base, hosts(3, megabits=100) as group:
        head, good, bad = group
        other = base / "other"
        shutil.copytree(ROOT / "gen_dist", other / "gen_dist", ignore=shutil.ignore_patterns("__pycache__"))
        with (other / "gen_dist" / "errors.py").open("a") as file:
            file.write("\n# changed\n")
        pack = base / "0" / "home" / "pack"
        shutil.copytree(tiny_pack, pack)
        with ExitStack() as stack:

            def ray(host, name, *options, **changes):
                return stack.enter_context(ray_node(host, base / name, options, pack.parent, **changes))

            ray(head, "0", "--head", f"--port={PORT}", "--include-dashboard=false")()
            join = f"--address={head.address}:{PORT}"
            joining = [ray(good, "1", join), ray(bad, "2", join, "--num-cpus=64", PYTHONPATH=str(other))]
            for wait in joining:
                wait()
            bad.run(["ip", "route", "add", "unreachable", f"{good.address}/32"])
            command = [*COMMAND, "doctor", "--address", f"{head.address}:{PORT}", "--json", "--data", pack]
            done = head.run(command, cwd=base / "0", env=own_environment(base / "0"), check=False, timeout=120)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    told = json.loads(done.stdout)
    assert [node["node"]["address"] for node in told["nodes"]] == [host.address for host in group]
    assert [node["facts"]["interface"]["name"] for node in told["nodes"]] == ["eth0"] * 3
    links = {(link["from"][-2], link["to"][-2]): link for link in told["links"]}  # of names such as laptop (10.77.0.1)
    assert {pair for pair, link in links.items() if "error" in link} == {("2", "3"), ("3", "2")}
    assert links["1", "2"]["bytes_per_second"] * 8e-6 == pytest.approx(100, rel=0.15)
    said = [f"{finding['where'][-2:]} {finding['what']}" for finding in told["findings"] if finding["breaks"]]
    assert "3) other source of gen-dist" in said
    assert any("no connection: " in text for text in said)
    notes = " ".join(finding["what"] for finding in told["findings"] if not finding["breaks"])
    assert f"Ray counts 64 CPUs, there are {len(os.sched_getaffinity(0))}" in notes
    assert [node["data"]["state"] for node in told["nodes"]] == ["same", "missing", "missing"]


@contextmanager
def own_folder():
    """Short, because Ray puts Unix sockets deep below it; empty of processes and gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="h", dir=os.environ["TMPDIR"]))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def own_environment(folder: Path, **changes: str) -> dict[str, str]:
    """Each host its own home and temporary folder."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    kept = environment(**TOKEN, **{"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), **changes})
    return {name: value for name, value in kept.items() if name != "XDG_CACHE_HOME"}


@contextmanager
def ray_node(host, folder: Path, options: Sequence[str], home: Path, **changes: str):
    """A Ray node on the host, ended afterwards; gives a function that waits until it is ready.

    It does not see `home`, unless that is its own: hosts share the machine's files otherwise.
    """
    command = [Path(sys.executable).with_name("ray"), "start", "--block", f"--temp-dir={folder}/r", "--num-cpus=1",
               f"--node-ip-address={host.address}", "--object-store-memory=100000000", *options]  # fmt: skip
    if folder not in home.parents:
        command = ["sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', home, *command]
    env = own_environment(folder, RAY_USAGE_STATS_ENABLED="0", **changes)
    log = folder / "log"
    with (
        log.open("w") as out,
        host.popen(command, env=env, cwd=folder, stdout=out, stderr=subprocess.STDOUT) as process,
    ):

        def wait() -> None:
            wait_for(lambda: "Ray runtime started" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()

        try:
            yield wait
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
